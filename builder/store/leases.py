"""Leases: what processes are using, so that garbage collection leaves it alone.

    <root>/locks/gc               held by who collects; shared for an instant by who takes a lease or names something.
                                  Holds the number of the generation, which begins with a lease or a collection
    <root>/locks/lease-<random>   locked by its owner as long as it lives; holds the diff IDs it uses,
                                  or `since <generation>`: what anyone names from then on; or `*`: all there is
    <root>/locks/used-<number>    the digests that were named in one generation, a line each

The kernel drops the lock when its owner dies, however it dies. Who makes things or looks them up holds a lease of the
second kind (`working`) and names each digest *before* it looks whether that is there or lets it appear. A collection
either comes after that and keeps it, or came before, and then who looks finds it gone. No clock is asked.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct, field

from builder.digest import Digest
from builder.linux.locks import abandoned, create_locked, open_locked
from builder.points import point

_SINCE = "since "
_APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
# digits of a sha256
_HEX = 64


class _Held(Struct):
    """The leases there are: whether one is on everything, the layers of some, the oldest generation of others."""

    everything: bool = False
    layers: set[Digest] = field(default_factory=set)
    oldest: int | None = None


class Leases:
    """The leases on the store at `root`."""

    def __init__(self, root: Path) -> None:
        self._locks = root / "locks"
        self._gc, self._use_file = f"{root}/locks/gc", f"{root}/locks/used-"
        self._named: set[Digest] = set()
        self._working = 0

    @contextmanager
    def everything(self) -> Iterator[None]:
        """Use the store, whatever in it: nothing is collected meanwhile. For what does not take long."""
        with self._lease(lambda _: "*"):
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Make things and look them up: what is named by `use` meanwhile, by any process, stays until this ends."""
        self._named.clear()  # what was named under an earlier lease need not be there any more
        with self._lease(self._since, shared=False):
            self._working += 1
            try:
                yield
            finally:
                self._working -= 1

    @contextmanager
    def layers(self, diff_ids: Iterable[Digest]) -> Iterator[None]:
        """Use these layers. They may be gone already: look afterwards."""
        with self._lease(lambda _: "\n".join(d.hex for d in diff_ids)):
            yield

    def use(self, digests: Iterable[Digest]) -> None:
        """Name blobs and layers (by diff ID) that are about to be looked for or to appear.

        They stay as long as a `working` lease lasts that was taken before, in this process or the one it works for.
        """
        new = [d for d in dict.fromkeys(digests) if d not in self._named]
        if not new:
            return
        # Every cached step names its layer: here a Path costs as much as the system calls.
        with open_locked(self._gc, shared=True) as gc:
            fd = os.open(f"{self._use_file}{_generation(gc)}", _APPENDING, 0o644)
            try:
                # In one piece, so that lines of several processes do not mix. One that a full disk cuts off ends
                # at the next one's beginning.
                _write(fd, "".join(["\n" + digest.hex for digest in new]).encode())
            finally:
                os.close(fd)
        if self._working:
            self._named.update(new)

    def _since(self, gc: int) -> str:
        return f"{_SINCE}{self._next_generation(gc, self._leases().oldest)}"

    def named(self) -> frozenset[Digest]:
        """What was named by those who work now, or lately: it may be needed though nothing in the store says so."""
        with open_locked(self._gc, shared=True):
            return frozenset(self._names())

    def _names(self) -> Iterator[Digest]:
        for path in self._locks.glob("used-*"):
            yield from (Digest(line) for line in path.read_text().split() if len(line) == _HEX)

    @contextmanager
    def _lease(self, text: Callable[[int], str], *, shared: bool = True) -> Iterator[None]:
        path, fd = self._locks / f"lease-{os.urandom(8).hex()}", -1
        try:  # being canceled can come between any two instructions
            with open_locked(self._gc, shared=shared) as gc:
                said = text(gc).encode()
                fd = create_locked(path)
                _write(fd, said)
            point("lease:taken")
            yield
        finally:
            with suppress(FileNotFoundError):
                path.unlink()
            if fd >= 0:
                os.close(fd)

    def sweep(self) -> None:
        """Remove the leases of processes that are gone."""
        for path in abandoned(self._locks, "lease-*"):
            path.unlink(missing_ok=True)

    def held(self) -> bool:
        """Whether anyone holds a lease of whatever kind. For who keeps others from taking one."""
        self.sweep()
        return any(self._locks.glob("lease-*"))

    @contextmanager
    def collecting(self) -> Iterator[frozenset[Digest] | None]:
        """Keep others from taking leases and naming things, and give what is in use; None when anything may be."""
        with open_locked(self._gc) as gc:
            yield self._used(gc)

    def _used(self, gc: int) -> frozenset[Digest] | None:
        found = self._leases()
        if found.everything:
            return None
        self._next_generation(gc, found.oldest)
        return frozenset((*found.layers, *self._names()))

    def _leases(self) -> _Held:
        self.sweep()
        found = _Held()
        for path in self._locks.glob("lease-*"):
            try:
                text = path.read_text()
            except FileNotFoundError:
                continue
            if text == "*":
                found.everything = True
            elif text.startswith(_SINCE):
                since = int(text.removeprefix(_SINCE))
                found.oldest = since if found.oldest is None else min(found.oldest, since)
            else:
                found.layers.update(map(Digest, text.split()))
        return found

    def _next_generation(self, gc: int, oldest: int | None) -> int:
        """Begin a generation and give its number; forget what was named before the generation `oldest`."""
        generation = _generation(gc)
        for path in self._locks.glob("used-*"):
            number = int(path.name.removeprefix("used-"))
            generation = max(generation, number)
            if oldest is None or number < oldest:
                path.unlink(missing_ok=True)
        os.pwrite(gc, str(generation + 1).encode(), 0)
        point("leases:generation")
        return generation + 1


def _write(fd: int, data: bytes) -> None:
    """Write all of `data` at once. Raises OSError when there is no room for it."""
    if os.write(fd, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _generation(gc: int) -> int:
    """The number in `locks/gc`; 0 in a new store, and where a power cut has taken it (nobody holds a lease then)."""
    text = os.pread(gc, 32, 0)
    return int(text) if text.isdigit() else 0
