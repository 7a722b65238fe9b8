"""Which assembler a store has: the first that works there, tried once a boot and remembered in <root>/assembler.json.

The environment variable PYBUILD_ASSEMBLER takes one by its name.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from builder.errors import UsageError
from builder.linux.boot import boot_id
from builder.linux.files import write_atomically
from builder.linux.ids import in_user_namespace
from builder.readied import readied
from builder.snapshots.assembler import NAMES, VARIABLE, Assembler


class _Remembered(Struct, frozen=True):
    """What was found out in a store: at which boot, as whom, with which programs in reach."""

    key: str
    found: Assembler


@cache
def of(root: Path) -> Assembler:
    """The assembler of the store at `root`; its process has a mount namespace of its own. Raises UsageError."""
    forced = os.environ.get("PYBUILD_ASSEMBLER")
    if forced:
        if forced not in NAMES:
            raise UsageError(f"{VARIABLE}={forced}: there is no such assembler", hint=f"one of {', '.join(NAMES)}")
        return Assembler(forced)
    key = _key()
    path = root / "assembler.json"
    try:
        remembered = msgspec.json.decode(path.read_bytes(), type=readied(_Remembered))
        if remembered.key == key:
            return remembered.found
    except (OSError, msgspec.MsgspecError):
        pass
    # lazy: once a boot
    from builder.snapshots.trial import first_that_works

    found = first_that_works(root)
    write_atomically(str(path), msgspec.json.encode(_Remembered(key, found)))
    return found


def _key() -> str:
    return f"{boot_id()} {'user' if in_user_namespace() else 'root'}"
