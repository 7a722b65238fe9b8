"""Files written whole or not at all, copied fast, and trees removed whatever is in them."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress

from builder import spans
from builder.points import point

TEMPORARY = ".tmp"
_CHUNK = 8 << 20

# A state of a file: device, inode, size, mtime (ns), ctime (ns), permission bits.
StatKey = tuple[int, int, int, int, int, int]


def stat_key(found: os.stat_result) -> StatKey:
    """The tuple that identifies a state of a file."""
    return (
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        stat.S_IMODE(found.st_mode),
    )


def fsync_directory(path: str | os.PathLike[str]) -> None:
    """Make a directory's names durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with spans.span("sync"):
            os.fsync(fd)
    finally:
        os.close(fd)


def write_atomically(path: str, data: bytes, mode: int = 0o644, *, lasting: bool = True) -> None:
    """Replace `path` by `data`: readers see the old bytes or the new, also after a power cut. Raises OSError.

    `lasting`: once this has ended, the new ones; else a power cut may bring the old ones back for some seconds yet.
    Beside it a file that ends in TEMPORARY is locked meanwhile: unlocked, it was left behind by a crash.
    """
    temporary = f"{path}.{os.urandom(8).hex()}{TEMPORARY}"
    fd = _begun(temporary, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            with spans.span("sync"):
                os.fsync(file.fileno())
            point("file:written")
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    point("file:renamed")
    if lasting:
        fsync_directory(os.path.dirname(path) or ".")


def _begun(path: str, mode: int) -> int:
    """A new file, locked. Between the two it may seem left behind, and be removed by who sweeps: tries again."""
    while True:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with suppress(OSError):  # nobody sweeps where there are no locks
            fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def copy_data(source: int, target: int) -> int:
    """Copy all of file `source` to `target` (descriptors), in the kernel where it can; returns the bytes."""
    total = 0
    try:
        while True:
            copied = os.copy_file_range(source, target, _CHUNK)
            if not copied:
                return total
            total += copied
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS) or total:
            raise
    while data := os.read(source, 1 << 20):
        write_all(target, data)
        total += len(data)
    return total


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`, which one call may not."""
    written = os.write(fd, data)
    if written < len(data):
        view = memoryview(data)[written:]
        while view:
            view = view[os.write(fd, view) :]


def disk_bytes(path: str, seen: set[tuple[int, int]] | None = None) -> int:
    """Bytes in blocks of `path` and all below it, each inode once, as du(1) counts; `seen` holds those counted before.

    What goes meanwhile is left out.
    """
    seen = set() if seen is None else seen
    total, todo = 0, [path]
    while todo:
        current = todo.pop()
        try:
            status = os.lstat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
            if stat.S_ISDIR(status.st_mode):
                todo += [f"{current}/{name}" for name in os.listdir(current)]
        except FileNotFoundError:
            continue
    return total


def date_tree(root: str, seconds: int) -> None:
    """Give the file `root`, or the directory and all that is in it, this time of modification."""
    for path, directories, files in os.walk(root, topdown=False):
        for name in (*files, *directories):
            os.utime(os.path.join(path, name), (seconds, seconds), follow_symlinks=False)
    os.utime(root, (seconds, seconds), follow_symlinks=False)


def remove_tree(path: str) -> None:
    """Remove `path` and all below it without following any link, however deep. Missing is fine. Raises OSError."""
    parent, name = os.path.split(path.rstrip("/"))
    top = os.open(parent or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove(top, name)
    finally:
        os.close(top)


def _remove(top: int, name: str) -> None:
    # A stack of open directories, not recursion: trees may be thousands of levels deep. Only the innermost
    # is kept open; going up is opening `..`, which no one else can move while we own the tree.
    if _unlinked(top, name):
        return
    current = _enter(top, name)
    names = [name]
    pending = [_listed(current)]
    while names:
        if not pending[-1]:
            parent = top if len(names) == 1 else _enter(current, "..")
            os.close(current)
            os.rmdir(names.pop(), dir_fd=parent)
            pending.pop()
            current = parent
            continue
        child = pending[-1].pop()
        if not _unlinked(current, child):
            inner = _enter(current, child)
            os.close(current)
            current = inner
            names.append(child)
            pending.append(_listed(current))


def _unlinked(directory: int, name: str) -> bool:
    """Remove what is no directory; False when it is one."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise
        return False
    return True


def _enter(directory: int, name: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=directory)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=directory)
        return os.open(name, flags, dir_fd=directory)


def _listed(directory: int) -> list[str]:
    if os.fstat(directory).st_mode & 0o300 != 0o300:
        os.fchmod(directory, 0o700)
    return os.listdir(directory)
