"""Files with recorded owners kept apart from files with real ones: neither is right where the other belongs.

    <root>/snapshots, cachemounts, failed    those of the IDs this user has
    <root>/<name>.recorded, <name>.mapped    those of the IDs the user had before, to be used when they are back
    <root>/owners                            there when the first are recorded

A user has one ID until an administrator gives more, so this changes once or twice in a store's life.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from builder.linux.locks import locked
from builder.linux.owners import one_id
from builder.snapshots.cachemounts import DIRECTORY
from builder.store.open import FAILED

_NAMES = ("snapshots", DIRECTORY, FAILED)


def suit(root: Path) -> None:
    """Make the store at `root` show what the IDs of this process go with. Runs in a launcher's child."""
    mark = root / "owners"
    if mark.exists() == one_id():
        return
    with locked(root / "locks" / "owners"):
        if mark.exists() == one_id():
            return
        before, after = ("recorded", "mapped") if mark.exists() else ("mapped", "recorded")
        for name in _NAMES:
            _swap(str(root / name), before, after)
        if after == "recorded":
            mark.touch()
        else:
            mark.unlink()


def _swap(path: str, before: str, after: str) -> None:
    if os.path.isdir(path):
        try:
            os.rename(path, f"{path}.{before}")
        except OSError:  # put aside already, by a process that was killed then
            os.rmdir(path)
    with suppress(FileNotFoundError):
        os.rename(f"{path}.{after}", path)
    os.makedirs(path, 0o700, exist_ok=True)
