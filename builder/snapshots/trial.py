"""Which assemblers work in a store, found out by doing what steps do."""

from __future__ import annotations

import os
from pathlib import Path

from builder.errors import HostError
from builder.layers.changes import changes
from builder.layers.entry import Kind
from builder.linux import syscalls
from builder.linux.files import remove_tree
from builder.snapshots.assembler import COPY, NAMES, Assembler, mount_of
from builder.snapshots.overlaymount import OverlayMount


def first_that_works(root: Path) -> Assembler:
    """The first assembler that works in the store at `root`. This process has a mount namespace of its own."""
    refused: list[tuple[str, str]] = []
    for name in NAMES:
        problem = trouble(root, name)
        if problem is None:
            return Assembler(name, tuple(refused))
        refused.append((name, problem))
    return Assembler(COPY, tuple(refused))


def trouble(root: Path, name: str) -> str | None:
    """Why an assembler does not work in the store at `root`; None when it does."""
    place = f"{root}/tmp/trial-{os.urandom(8).hex()}"
    os.mkdir(place, 0o700)
    try:
        return _tried(place, name)
    except HostError as error:
        return error.message
    except OSError as error:
        return f"{error.strerror}: it cannot do there what steps do"
    finally:
        remove_tree(place)


def _tried(place: str, name: str) -> str | None:
    for part in ("lower", "lower/old", "upper", "work", "root"):
        os.mkdir(f"{place}/{part}")
    for part in ("kept", "gone", "old/file"):
        Path(f"{place}/lower/{part}").write_text(part)
    root, upper = f"{place}/root", f"{place}/upper"
    mount_of(name)(OverlayMount((f"{place}/lower",), root, upper, f"{place}/work"))
    try:
        os.chmod(f"{root}/kept", 0o600)
        os.unlink(f"{root}/gone")
        os.unlink(f"{root}/old/file")
        os.rmdir(f"{root}/old")
        os.mkdir(f"{root}/old")
    finally:
        syscalls.umount(root)
    found = {(entry.path, entry.kind) for entry, _ in changes(upper, (f"{place}/lower",))}
    wanted = {("kept", Kind.FILE), ("gone", Kind.WHITEOUT), ("old", Kind.DIRECTORY), ("old", Kind.OPAQUE)}
    return None if found == wanted else "it does not keep what steps change there"
