"""Leases: what processes are using, so that garbage collection leaves it alone.

    <root>/locks/gc               held by who collects; shared for an instant by who takes a lease
    <root>/locks/lease-<random>   locked by its owner as long as it lives; holds the diff IDs it uses, or `*`

The kernel drops the lock when its owner dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.digest import Digest
from builder.linux.locks import locked, try_lock


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
        path = self._locks / f"lease-{secrets.token_hex(8)}"
        with locked(self._locks / "gc", shared=True):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.write(fd, text.encode())
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                path.unlink()
            os.close(fd)

    @contextmanager
    def collecting(self) -> Iterator[frozenset[Digest] | None]:
        """Keep new leases out, and give the layers in use; None when anything may be in use."""
        with locked(self._locks / "gc"):
            yield self._used()

    def _used(self) -> frozenset[Digest] | None:
        used: set[Digest] = set()
        for path in self._locks.glob("lease-*"):
            try:
                text = path.read_text()
            except FileNotFoundError:
                continue
            fd = try_lock(path)
            if fd is not None:  # its owner is gone
                path.unlink(missing_ok=True)
                os.close(fd)
            elif text == "*":
                return None
            else:
                used.update(map(Digest, text.split()))
        return frozenset(used)
