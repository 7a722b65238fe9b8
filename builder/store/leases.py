"""Leases: what processes are using, so that garbage collection leaves it alone.

    <root>/locks/gc               held by who collects; shared for an instant by who takes a lease
    <root>/locks/lease-<random>   locked by its owner as long as it lives; holds the diff IDs it uses, or `*`

The kernel drops the lock when its owner dies, however it dies.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.digest import Digest
from builder.linux.locks import abandoned, create_locked, locked


class Leases:
    """The leases on the store at `root`."""

    def __init__(self, root: Path) -> None:
        self._locks = root / "locks"

    @contextmanager
    def everything(self) -> Iterator[None]:
        """Use the store, whatever in it: nothing is collected meanwhile."""
        with self._lease("*"):
            yield

    @contextmanager
    def layers(self, diff_ids: Iterable[Digest]) -> Iterator[None]:
        """Use these layers."""
        with self._lease("\n".join(d.hex for d in diff_ids)):
            yield

    @contextmanager
    def _lease(self, text: str) -> Iterator[None]:
        path = self._locks / f"lease-{os.urandom(8).hex()}"
        with locked(self._locks / "gc", shared=True):
            fd = create_locked(path)
            os.write(fd, text.encode())
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                path.unlink()
            os.close(fd)

    def sweep(self) -> None:
        """Remove the leases of processes that are gone."""
        for path in abandoned(self._locks, "lease-*"):
            path.unlink(missing_ok=True)

    @contextmanager
    def collecting(self) -> Iterator[frozenset[Digest] | None]:
        """Keep new leases out, and give the layers in use; None when anything may be in use."""
        with locked(self._locks / "gc"):
            yield self._used()

    def _used(self) -> frozenset[Digest] | None:
        self.sweep()
        used: set[Digest] = set()
        for path in self._locks.glob("lease-*"):
            try:
                text = path.read_text()
            except FileNotFoundError:
                continue
            if text == "*":
                return None
            used.update(map(Digest, text.split()))
        return frozenset(used)
