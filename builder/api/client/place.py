"""Where a store is, and how work is done in it: with a session of its own, and one launcher for all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from builder.api.client.jobs import in_job
from builder.api.session import Session
from builder.events import Event
from builder.request import RegistryOptions
from builder.stopping import Stop
from builder.store.open import located

if TYPE_CHECKING:
    from builder.sandbox.launcher import Launcher

T = TypeVar("T")


class Place:
    """A store's directory, and how registries are spoken to for it. What a Store is to its images and containers."""

    def __init__(self, root: Path | None, options: RegistryOptions) -> None:
        self.root, self._options = located(root), options
        self._lock = threading.Lock()
        self._users = 0
        self._launcher: Launcher | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.root)!r})"

    def __enter__(self) -> Self:
        with self._lock:
            self._users += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._users -= 1
            launcher, self._launcher = (None, self._launcher) if self._users else (self._launcher, None)
        if launcher is not None:
            launcher.close()

    def do(self, work: Callable[[Session], T]) -> T:
        """Call `work` with an open session of this store, for what else `builder.api` can do; returns what it does.

        It is done in a job, the one the caller is in or one of its own. Raises what `work` raises.
        """

        def opened(emit: Callable[[Event], None], stop: Stop) -> T:
            stop.check()
            with self, Session(self.root, emit, self._options, stop=stop, launch=self._launch) as session:
                return work(session)

        return in_job(opened)

    def _launch(self) -> Launcher:
        # lazy: only where something runs
        from builder.sandbox.launcher import Launcher
        from builder.workers.local import PRELOAD

        with self._lock:
            if self._launcher is not None and not self._launcher.lives():
                self._launcher.close()  # somebody has killed it
                self._launcher = None
            if self._launcher is None:
                self._launcher = Launcher.start(PRELOAD, fork=False)
            return self._launcher.lent()
