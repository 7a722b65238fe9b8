"""Content digests of files, remembered by their stat tuple so that what did not change is not read.

A remembered digest stands for a state only when a later change must have given the file another one:

    ctime + grain < when it was read <= now

Then any change after the reading has a later ctime: the kernel sets it, no program can. This is git's racy rule (its
technical/racy-git), by the moment before each file was read. A file touched as late as the clock's grain, one from the
future, and one that was read in what is the future after the clock was set back are read again, each time. So is
everything on file systems whose ctime is not this kernel's own.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Sequence

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError
from builder.linux.files import StatKey, stat_key
from builder.linux.filesystem import filesystem
from builder.sources.attributes import attributes
from builder.store.stats import Attributes, Known, StatTable

# The kernel's coarse clock moves in ticks of up to 10 ms (CONFIG_HZ=100).
_GRAIN_NS = 20_000_000
# File systems with whole seconds (ext3, small inodes of ext4), and their ctime ends in zeros.
_COARSE_NS = 2_000_000_000 + _GRAIN_NS
# Here the kernel sets ctime by its own clock. Not so on network file systems (a server's clock, attributes out of a
# cache), FUSE, 9p (whatever a program says: sshfs gives mtime for ctime, which anyone can set), FAT (no ctime) and
# images (squashfs, erofs, iso9660: what the image says, and another one may be mounted there).
_OWN_CLOCK = frozenset(
    ("ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "f2fs", "zfs", "jfs", "tmpfs", "ramfs", "rootfs", "overlay")
)


class Hashed(Struct, frozen=True, gc=False):
    """A file with the status it had and what it held. `state`: its state, where any later change gives it another."""

    status: os.stat_result
    digest: Digest
    xattrs: Attributes
    state: StatKey | None


def digests(table: StatTable, files: Sequence[tuple[str, os.stat_result]], *, paranoid: bool = False) -> list[Hashed]:
    """What each (path, status) holds, read only where the table does not know it; `paranoid`: all are read.

    Raises BadInputError when a file changes while it is read.
    """
    ours: dict[int, bool] = {}
    for path, status in files:
        if status.st_dev not in ours:
            ours[status.st_dev] = filesystem(path) in _OWN_CLOCK
    keys = [stat_key(status) for _, status in files]
    known = [None] * len(files) if paranoid else _trusted(table, keys, ours)
    fresh: list[tuple[StatKey, Known]] = []
    result: list[Hashed] = []
    for (path, status), key, known_one in zip(files, keys, known, strict=True):
        if known_one is not None:
            result.append(Hashed(status, known_one.digest, known_one.xattrs, key))
            continue
        moment = time.time_ns()
        status, digest, xattrs = _read(path)
        state = stat_key(status) if ours.get(status.st_dev) and _settled(status.st_ctime_ns, moment) else None
        if state is not None:
            fresh.append((state, Known(digest, xattrs, moment)))
        result.append(Hashed(status, digest, xattrs, None if paranoid else state))
    table.remember(fresh)
    return result


def _trusted(table: StatTable, keys: Sequence[StatKey], ours: dict[int, bool]) -> list[Known | None]:
    now = time.time_ns()
    return [
        known if known is not None and ours[key[0]] and known.read <= now else None
        for key, known in zip(keys, table.lookup(keys), strict=True)
    ]


def _settled(ctime: int, moment: int) -> bool:
    grain = _COARSE_NS if ctime % 1_000_000_000 == 0 else _GRAIN_NS
    return ctime + grain < moment


def _read(path: str) -> tuple[os.stat_result, Digest, Attributes]:
    # A link or a FIFO may have taken its place: neither may be followed or waited for.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise changed(path)
        xattrs = attributes(fd)
        with open(fd, "rb", buffering=0, closefd=False) as file:
            digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        if stat_key(os.fstat(fd)) != stat_key(before):
            raise changed(path)
    finally:
        os.close(fd)
    return before, digest, xattrs


def changed(path: str) -> BadInputError:
    """That `path` changed while it was read, as an error."""
    return BadInputError(f"{path} changed while it was read", hint="build again when nothing writes to it")
