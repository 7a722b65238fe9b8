"""What a copy makes of an entry: what its key fixed, or what lies in a stage; and whether a file's copy is that."""

from __future__ import annotations

import hashlib
import os
import stat

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError
from builder.layers.changes import xattrs
from builder.layers.copyjob import ContextEntry, Fixed
from builder.layers.entry import Kind
from builder.linux.files import stat_key
from builder.linux.owners import Seen, seen
from builder.points import point

_TYPES = {Kind.FILE: stat.S_IFREG, Kind.DIRECTORY: stat.S_IFDIR, Kind.SYMLINK: stat.S_IFLNK, Kind.FIFO: stat.S_IFIFO}
# Whatever lies there now is opened at once or not at all: no link is followed, no FIFO waited for.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Looks(Struct, frozen=True):
    """How an entry is made, as root sees it; `mtime` in nanoseconds.

    `link`: where a symlink leads, or which earlier target a file is a hard link of. `inode`: of a file with more names,
    whose links are not known yet.
    """

    seen: Seen
    mtime: int
    link: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    inode: tuple[int, int] | None = None


def looks(entry: ContextEntry, path: str, *, whole: bool) -> Looks:
    """How `entry`, which lies at `path`, is made. `whole`: with owner and attributes, where it is not fixed."""
    fixed = entry.fixed
    if fixed is not None:
        return Looks(Seen(_TYPES[entry.kind] | fixed.mode, 0, 0), fixed.mtime, fixed.link, fixed.xattrs)
    status = os.lstat(path)
    found = seen(path, status) if whole else Seen(status.st_mode, 0, 0, status.st_rdev)
    return Looks(
        found,
        status.st_mtime_ns,
        os.readlink(path) if entry.kind is Kind.SYMLINK else "",
        xattrs(path) if whole else (),
        (status.st_dev, status.st_ino) if status.st_nlink > 1 and entry.kind is not Kind.DIRECTORY else None,
    )


def opened(entry: ContextEntry, path: str) -> int:
    """A descriptor of the file `entry`, which lies at `path`. Raises BadInputError when it is none, or unreadable."""
    try:
        fd = os.open(path, _FLAGS)
    except PermissionError as error:
        raise BadInputError(f"{path} cannot be read: permission denied") from error
    except OSError as error:
        if entry.fixed is None:
            raise
        raise changed(entry) from error
    if entry.fixed is not None and not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise changed(entry)
    point("copy:opened")
    return fd


def check_copy(entry: ContextEntry, source: int, copy: int) -> None:
    """Raise BadInputError unless `copy`, made of `source` (descriptors), has the content that the key says."""
    fixed = entry.fixed
    if fixed is not None and not unchanged(fixed, source):
        check_content(entry, copy)


def check_content(entry: ContextEntry, copy: int) -> None:
    """Raise BadInputError unless `copy`, a descriptor, has the content that the key of `entry` says."""
    if entry.fixed is not None and _digest(copy) != entry.fixed.digest:
        raise changed(entry)


def unchanged(fixed: Fixed, source: int) -> bool:
    """Whether the file at a descriptor surely held what the key says until now."""
    return fixed.state is not None and stat_key(os.fstat(source)) == fixed.state


def changed(entry: ContextEntry) -> BadInputError:
    """That a file changed since its key was made, as an error."""
    return BadInputError(
        f"{entry.path} changed while it was being copied", hint="build again when nothing writes to it"
    )


def _digest(fd: int) -> Digest:
    with open(f"/proc/self/fd/{fd}", "rb", buffering=0) as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())
