"""One process at a time for the same key: the others wait, and then find the result."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builder import spans
from builder.digest import Digest
from builder.errors import CanceledError
from builder.linux.locks import try_lock
from builder.points import point

_POLL_SECONDS = 0.02


@contextmanager
def key_lock(root: Path, key: Digest, canceled: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock of `key`.

    Asks again and again instead of sleeping in flock, so that a build that is canceled while it waits
    ends at once. Raises CanceledError then.
    """
    path = root / "locks" / f"key-{key.hex}"
    with spans.span("wait"):
        while (fd := _held(path)) is None:
            if canceled():
                raise CanceledError("canceled")
            time.sleep(_POLL_SECONDS)
    try:
        point("key:locked")
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)


def _held(path: Path) -> int | None:
    """A descriptor that holds the lock; None when another has it, or had it and removed its file just now."""
    fd = try_lock(path)
    if fd is None:
        return None
    try:
        if os.path.samestat(os.fstat(fd), path.stat()):
            return fd
    except FileNotFoundError:
        pass
    os.close(fd)
    return None
