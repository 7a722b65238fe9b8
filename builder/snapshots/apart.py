"""Files kept apart by how their owners and deletions are written: none is right where another belongs.

    <root>/snapshots, cachemounts, failed   those that go with the IDs this process has
    <root>/<name>.<kind>                    those of the IDs it had before, to be used when they are back
    <root>/owners                           the kind of the first: `real`, `mapped` or `recorded`

`real`: root's own IDs, overlayfs's marks are `trusted` attributes. `mapped`: those of a user namespace, the marks are
`user` attributes. `recorded`: a namespace with one ID, owners are attributes too. A user has one ID until an
administrator gives more, so this changes once or twice in a store's life.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from builder.errors import StoreError
from builder.linux.files import write_atomically
from builder.linux.ids import in_user_namespace
from builder.linux.locks import try_lock
from builder.linux.owners import one_id
from builder.snapshots.cachemounts import DIRECTORY
from builder.store.open import FAILED

_PATIENCE_SECONDS = 5.0
_NAMES = ("snapshots", DIRECTORY, FAILED)


def suit(root: Path) -> str:
    """Make the store at `root` show what the IDs of this process go with, and give their kind.

    Runs in a launcher's child. Raises StoreError while others use the store with other IDs.
    """
    own = "recorded" if one_id() else "mapped" if in_user_namespace() else "real"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (before := _kind(root)) != own:
        lock = try_lock(root / "locks" / "owners")
        if lock is not None:
            try:
                _change(root, before, own)
            finally:
                os.close(lock)
        elif time.monotonic() > deadline:
            raise StoreError(
                f"{root} is in use with other IDs ({before}) than this process has ({own})",
                hint="wait until that has ended, or take another store: --root DIR",
            )
        else:
            time.sleep(0.02)
    return own


def held(root: Path, kind: str) -> int | None:
    """A descriptor that keeps the store at `root` as it is while it is open; None if it shows no longer `kind`."""
    fd = os.open(root / "locks" / "owners", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(fd, fcntl.LOCK_SH)
    if _kind(root) == kind:
        return fd
    os.close(fd)
    return None


def _change(root: Path, before: str, own: str) -> None:
    if _kind(root) != before:
        return  # another did it meanwhile
    if before:
        for name in _NAMES:
            _swap(str(root / name), before, own)
    write_atomically(str(root / "owners"), own.encode())


def _kind(root: Path) -> str:
    """The kind of a store's files; empty for a new store."""
    try:
        return (root / "owners").read_text()
    except FileNotFoundError:
        return ""


def _swap(path: str, before: str, after: str) -> None:
    if os.path.isdir(path):
        try:
            os.rename(path, f"{path}.{before}")
        except OSError:  # put aside already, by a process that was killed then
            os.rmdir(path)
    with suppress(FileNotFoundError):
        os.rename(f"{path}.{after}", path)
    os.makedirs(path, 0o700, exist_ok=True)
