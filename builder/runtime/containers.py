"""The containers of a store: what each is, on disk; which of them run.

<root>/containers/<id>/container.json   what it is and how it ended
<root>/containers/<id>/config.json      the image's config with the words of `run` over it     runtime/config
<root>/containers/<id>/spec.json        what is run when it is started again                   runtime/spec
<root>/containers/<id>/running.json     its processes, from the beginning of its command on
<root>/containers/<id>/lock             held while it runs; then its exit status is in it
<root>/containers/<id>/log, log.1       what it printed, when detached                         runtime/log
<root>/containers/<id>/upper, work      its writable top
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from builder.digest import Digest
from builder.errors import HostError, NotFoundError, UsageError
from builder.linux.files import write_atomically
from builder.linux.locks import locked, try_lock
from builder.readied import readied
from builder.sandbox.running import Running
from builder.store.blobs import store_errors

STATES = ("created", "running", "exited", "dead")
_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.02, 0.2
# Until what a killed monitor has left is gone.
_CLEARING_SECONDS = 60
# 128 + SIGKILL
_KILLED = 137


class Container(msgspec.Struct, frozen=True):
    """A container. Times in seconds since the epoch; `status` is None until it has ended.

    `remove`: it goes when it ends. `interactive`: its input stays open. `oom_killed`: the kernel killed in it for
    memory.
    """

    id: str
    name: str
    image: str
    image_id: str
    command: tuple[str, ...]
    layers: tuple[str, ...]
    created: float
    ended: float | None = None
    status: int | None = None
    started: float | None = None
    remove: bool = False
    interactive: bool = False
    oom_killed: bool = False


class ContainerRow(msgspec.Struct, frozen=True):
    """A container, whether it runs, its state (created, running, exited or dead), and since when it runs."""

    container: Container
    running: bool
    state: str
    started: float | None


class Begun(msgspec.Struct, frozen=True):
    """What runs of a container, and since when."""

    running: Running
    started: float


class Containers:
    """The containers of the store at `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directory = root / "containers"

    def path(self, container: Container) -> Path:
        """Its directory."""
        return self._directory / container.id

    def create(self, container: Container) -> int:
        """Make `container`; gives the lock that is held while it runs. Raises UsageError when its name is taken."""
        path = self.path(container)
        with store_errors(self._root), locked(self._root / "locks" / "containers"):
            taken = next((c for c in self.all() if c.name == container.name), None)
            if taken is not None:
                raise UsageError(
                    f"the name {container.name} is taken by container {taken.id[:12]}",
                    hint=f"remove it (pybuild rm {container.name}) or choose another name",
                )
            path.mkdir()
            held = try_lock(path / "lock")
            assert held is not None
            self.write(container)
        return held

    def write(self, container: Container) -> None:
        """Keep what is known of a container."""
        write_atomically(f"{self.path(container)}/container.json", msgspec.json.encode(container))

    def end(self, container: Container, lock: int, status: int, *, oom_killed: bool = False) -> None:
        """Keep how a container ended; who holds its lock calls it, and then lets it go."""
        begun = self.begun(container)
        started = container.started if begun is None else begun.started
        # In the lock too: who waits for it may find all the rest removed.
        os.pwrite(lock, str(status).encode(), 0)
        self.write(
            msgspec.structs.replace(container, status=status, ended=time.time(), started=started, oom_killed=oom_killed)
        )
        (self.path(container) / "running.json").unlink(missing_ok=True)

    def hold(self, container: Container) -> int | None:
        """Take the lock of a container that does not run, to run it again; None when it does. Raises HostError."""
        held = try_lock(self.path(container) / "lock")
        if held is None:
            return None
        begun = self.begun(container)
        deadline = time.monotonic() + _CLEARING_SECONDS
        # Its monitor was killed: what is left of it ends now.
        while begun is not None and (begun.running.keeper.lives() or begun.running.first.lives()):
            if time.monotonic() > deadline:
                os.close(held)
                raise HostError(f"what is left of container {container.name} does not end")
            time.sleep(_POLL_SECONDS)
        (self.path(container) / "running.json").unlink(missing_ok=True)
        os.ftruncate(held, 0)
        return held

    def all(self) -> list[Container]:
        """Every container, newest first."""
        found = []
        for path in self._directory.glob("*/container.json"):
            with suppress(FileNotFoundError):
                found.append(msgspec.json.decode(path.read_bytes(), type=readied(Container)))
        return sorted(found, key=lambda c: c.created, reverse=True)

    def find(self, text: str) -> Container:
        """The container of a name, an ID, or a clear beginning of one. Raises NotFoundError, UsageError."""
        everything = self.all()
        found = [c for c in everything if c.name == text] or [c for c in everything if text and c.id.startswith(text)]
        if not found:
            raise NotFoundError(f"no such container: {text}", hint="pybuild ps lists what there is")
        if len(found) > 1:
            raise UsageError(f"{text} begins the IDs of several containers", hint="give more digits")
        return found[0]

    def running(self, container: Container) -> bool:
        """Whether its process lives."""
        try:
            fd = os.open(self.path(container) / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _let_go(fd)
        finally:
            os.close(fd)

    def begun(self, container: Container) -> Begun | None:
        """What runs of it, or ran when it was killed; None before its command has begun."""
        try:
            return msgspec.json.decode((self.path(container) / "running.json").read_bytes(), type=readied(Begun))
        except FileNotFoundError:
            return None

    def state(self, container: Container) -> str:
        """One of STATES: `created` until its command runs, `dead` when its monitor was killed."""
        begun = self.begun(container)
        if self.running(container):
            return "created" if begun is None else "running"
        return "dead" if container.status is None or begun is not None else "exited"

    def wait(self, container: Container, seconds: float | None = None) -> int | None:
        """Its exit status, once it has ended (137 when its monitor was killed); None when that takes too long.

        Raises NotFoundError when it is being removed.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        try:
            fd = os.open(self.path(container) / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFoundError(f"container {container.name} has just been removed") from None
        try:
            pause = _POLL_SECONDS
            while not _let_go(fd):
                if deadline is not None and time.monotonic() >= deadline:
                    return None
                time.sleep(pause)
                pause = min(pause * 1.2, _LONGEST_POLL_SECONDS)
            said = os.pread(fd, 16, 0)
        finally:
            os.close(fd)
        # Without a word: it was killed, or could not be started again.
        return int(said) if said else container.status if self.state(container) == "exited" else _KILLED

    def layers(self) -> Iterator[Digest]:
        """The diff IDs that containers stand on."""
        for container in self.all():
            yield from map(Digest.parse, container.layers)


def new(
    name: str | None, image: str, image_id: Digest, command: tuple[str, ...], layers: tuple[Digest, ...]
) -> Container:
    """A container that is nowhere yet."""
    identifier = os.urandom(32).hex()
    stack = tuple(map(str, layers))
    return Container(identifier, name or f"c-{identifier[:8]}", image, str(image_id), command, stack, time.time())


def _let_go(fd: int) -> bool:
    """Whether nobody holds the lock; shared, so that two that ask do not take each other for its holder."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True
