"""Which snapshots are on the disk for sure, so that after a power cut no other is used: what is missing is unpacked.

    <root>/settled.<kind>   first line: the boot it was written in, seconds since that boot, time of snapshots/ then
                            others: name, inode and ctime of each snapshot that was on the disk then
    <root>/locks/settled    held by who writes it

No step waits for the disk with its snapshot. As long as the machine runs, the kernel has it in memory, so all are good.
In the first worker of another boot those that were not on the disk are taken away (`begin`); that is done after an
orderly shutdown too, which cannot be told from a power cut. Once a minute, beside a build's work, a worker has all of
the disk's writing finished and notes what is there (`settle`). An inode and its ctime tell a snapshot from another one
that was made in its place. Why it is so: docs/decisions, "settled snapshots".
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from builder.linux.boot import boot_id
from builder.linux.files import write_atomically
from builder.linux.locks import locked, try_lock
from builder.linux.syscalls import sync_file_system
from builder.points import point
from builder.sandbox import child
from builder.snapshots.active import Snapshots
from builder.snapshots.apart import held
from builder.store.place import check_files

# What was written longer ago the kernel has begun to write by itself (vm.dirty_expire_centisecs is 30 s).
_EVERY_SECONDS = 60.0


class _Note(Struct):
    """What is in the file. `listed` are (inode, ctime in ns) by name."""

    boot: str = ""
    seconds: float = 0.0
    changed: int = 0
    listed: dict[str, tuple[int, int]] = {}


def begin(root: Path, kind: str) -> bool:
    """Take away the snapshots that a power cut may have damaged; gives whether it is time to `settle`.

    `kind` is that of apart.suit; when it has changed meanwhile nothing is done. Raises StoreError where the store was
    brought to a place that is none for it.
    """
    boot = boot_id()
    head = _head(_path(root, kind))
    if head.boot != boot:
        check_files(root)
        with Snapshots(root).scratch() as doomed, locked(root / "locks" / "settled"):
            return _another_boot(root, kind, boot, doomed)
    since = time.clock_gettime(time.CLOCK_BOOTTIME) - head.seconds
    return since > _EVERY_SECONDS and head.changed != _changed(root)


def settle(root: Path, kind: str) -> None:
    """Have all that is written reach the disk, and note what was there when that began. For nobody to wait for."""
    child.let_go()  # it is killed when the build ends
    lock = try_lock(root / "locks" / "settled")
    if lock is None:
        return  # another does it
    try:
        with suppress(OSError):  # a disk that fails: nothing is noted
            note = _Note(boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME), _changed(root), _present(root))
            fd = os.open(root / "snapshots", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync_file_system(fd)
            finally:
                os.close(fd)
            point("settled:synced")
            _write(root, kind, note)
    finally:
        os.close(lock)


def _another_boot(root: Path, kind: str, boot: str, doomed: str) -> bool:
    note = _read(_path(root, kind))
    files = held(root, kind)
    if note.boot == boot or files is None:
        return False  # another did it; or it has other IDs now, and will be asked again
    try:
        present = _present(root)
        good = {name: known for name, known in present.items() if note.listed.get(name) == known}
        for name in present.keys() - good.keys():
            # Without a note the store is of an older pybuild, or new: then they are as good as they ever were.
            if note.boot:
                os.rename(f"{root}/snapshots/{name}", f"{doomed}/{name}")
        point("settled:dropped")
        _write(root, kind, _Note(boot, time.clock_gettime(time.CLOCK_BOOTTIME), _changed(root), good))
    finally:
        os.close(files)
    return not note.boot and bool(present)


def _present(root: Path) -> dict[str, tuple[int, int]]:
    found = {}
    with os.scandir(root / "snapshots") as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # collected just now
                if entry.is_dir(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    found[entry.name] = (status.st_ino, status.st_ctime_ns)
    return found


def _changed(root: Path) -> int:
    return os.stat(root / "snapshots").st_mtime_ns


# --- the file ------------------------------------------------------------------------------------


def _path(root: Path, kind: str) -> Path:
    return root / f"settled.{kind}"


def _head(path: Path) -> _Note:
    with suppress(OSError, ValueError), path.open() as file:
        return _first(file.readline())
    return _Note()


def _read(path: Path) -> _Note:
    """The whole note; an empty one when there is none, or none that makes sense."""
    with suppress(OSError, ValueError):
        first, *lines = path.read_text().splitlines()
        note = _first(first)
        for line in lines:
            name, inode, ctime = line.split()
            note.listed[name] = (int(inode), int(ctime))
        return note
    return _Note()


def _first(line: str) -> _Note:
    boot, seconds, changed = line.split()
    return _Note(boot, float(seconds), int(changed), {})


def _write(root: Path, kind: str, note: _Note) -> None:
    lines = [f"{note.boot} {note.seconds} {note.changed}"]
    lines += [f"{name} {inode} {ctime}" for name, (inode, ctime) in note.listed.items()]
    write_atomically(str(_path(root, kind)), "".join(f"{line}\n" for line in lines).encode())
