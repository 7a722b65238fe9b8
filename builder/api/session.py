"""`Session`: an open store and, once something needs it, the worker of this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from builder import spans
from builder.errors import UsageError
from builder.events import Emit, ignore
from builder.image.platform import Platform, host
from builder.sources.ingest import Ingest
from builder.stopping import Stop
from builder.store.blobs import store_errors
from builder.store.open import Store

if TYPE_CHECKING:
    from builder.api.among import Among
    from builder.config.settings import Value

    # lazy below, most of these
    from builder.layers.bounds import Bounds
    from builder.registry.endpoints import Registries
    from builder.request import RegistryOptions
    from builder.sandbox.launcher import Launcher
    from builder.sources.context import Context
    from builder.workers.local import LocalWorker


class Session:
    """Use it as a context manager. `root` is the store's directory, None for the default one.

    `options` say how registries are spoken to, over what is set in files. `stop` ends what is done in it, from another
    thread; `launch` gives the launcher, if it is not the session's own.
    """

    def __init__(
        self,
        root: Path | None = None,
        emit: Emit = ignore,
        options: RegistryOptions | None = None,
        *,
        stop: Stop | None = None,
        launch: Callable[[], Launcher] | None = None,
    ) -> None:
        with spans.span("start-up"):
            self.store = Store.open(root)
        self.emit = emit
        self.stop = stop or Stop()
        self._launch = launch
        self._worker: LocalWorker | None = None
        self._settings: dict[str, Value] | None = None
        self.options = options
        # Build contexts that were walked right before, to see whether they have changed (api/answered).
        self.walked: Sequence[Context] = ()
        # What the build shares with others that run beside it (api/bake).
        self.among: Among | None = None
        self._borrowed = False
        self._registries: Registries | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with spans.span("end"):
            self._close(canceled=error is not None)
        if isinstance(error, OSError) and str(error.filename or self.store.root).startswith(str(self.store.root)):
            # Exporters tell of their destinations themselves: what nobody has told of yet is the store's disk.
            with store_errors(self.store.root):
                raise error

    def _close(self, *, canceled: bool) -> None:
        if self._worker is not None and not self._borrowed:
            self._worker.close()
        if self._registries is not None:
            if canceled:
                self._registries.cancel()  # what other threads still read is not wanted any more
            self._registries.close()
        self.store.close()

    def rest(self) -> None:
        """No step comes for now."""
        if self._worker is not None and not self._borrowed:
            self._worker.rest()

    def beside(self, emit: Emit) -> Session:
        """Another session on the same store, for work beside that of this one, whose worker it borrows."""
        other = Session(self.store.root, emit, self.options)
        other._worker, other._borrowed = self.worker(), True
        return other

    def cancel(self) -> None:
        """Have what registries are asked for end soon; from any thread."""
        with self._lock:
            if self._registries is not None:
                self._registries.cancel()

    def worker(self) -> LocalWorker:
        """The worker of this machine, made now if it was not."""
        if self._worker is None:
            # lazy: 30 ms that a build from the cache does not have
            from builder.workers.local import LocalWorker

            self._worker = LocalWorker(self.store.root, self.emit, self._launch)
            self.stop.then(self._worker.stop)
        return self._worker

    @property
    def started(self) -> bool:
        """Whether there is a worker: something has run, or been unpacked."""
        return self._worker is not None

    def settings(self) -> dict[str, Value]:
        """What is set in files. Raises UsageError for what cannot be meant so."""
        if self._settings is None:
            # lazy: what is cached needs none
            from builder.config.settings import settings

            self._settings = settings()
        return self._settings

    def launcher(self) -> Launcher:
        """The launcher, started now if it was not."""
        return self.worker().launcher

    @property
    def ingest(self) -> Ingest:
        """What takes images in."""
        keys = () if self.options is None else self.options.verify_keys
        return Ingest(self.store, self.launcher, lambda: self.registries, self.bounds, verify_keys=keys, emit=self.emit)

    def bounds(self) -> Bounds:
        """How large layers and archives from outside may become."""
        # lazy: only where one comes
        from builder.layers.bounds import Bounds

        disk = os.statvfs(self.store.root)
        return Bounds(self.settings()["images.unpacked-bytes"].value.of(disk.f_blocks * disk.f_frsize))

    @property
    def offline(self) -> bool:
        """Whether no server may be asked for anything."""
        return is_offline(self.options)

    @property
    def registries(self) -> Registries:
        """Access to registries, made now if it was not; from any thread. Raises UsageError under --offline."""
        with self._lock:
            if self._registries is None:
                self._registries = self.new_registries()
            return self._registries

    def new_registries(self, patience: float | None = None) -> Registries:
        """Access over connections of one's own, to be closed by who has them. Raises UsageError under --offline.

        `patience` is for how many seconds an answer is waited for, None for the usual time.
        """
        must_ask(self.options)
        # lazy: HTTP takes 60 ms, and most builds have their bases already
        from builder.api.registries import registries

        made = registries(self.options, self.settings(), patience)
        self.stop.then(made.cancel)
        return made


def is_offline(options: RegistryOptions | None) -> bool:
    """Whether no server may be asked for anything, by the options or by the environment."""
    return (options is not None and options.offline) or os.environ.get("PYBUILD_OFFLINE", "") not in ("", "0")


def must_ask(options: RegistryOptions | None) -> None:
    """Raise UsageError when registries may not be asked: for what cannot do without."""
    if is_offline(options):
        raise UsageError("this needs a registry, and none is asked under --offline or PYBUILD_OFFLINE")


def platforms_of(text: str) -> tuple[Platform, ...]:
    """The platforms a user named, with commas between them; this machine's for none. Raises UsageError."""
    return tuple(dict.fromkeys(Platform.parse(part) for part in text.split(","))) if text else (host(),)


def platform_of(text: str) -> Platform:
    """The platform a user named; this machine's for none. Raises UsageError."""
    return Platform.parse(text) if text else host()
