"""Paths walked without leaving a root, by openat2(2): whatever a hostile tree's symlinks say."""

from __future__ import annotations

import errno
import os

from builder.linux.syscalls import RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

_MOST_LINKS = 255
_PIECE = 64 << 10


def open_in_root(root: int, path: str, flags: int = os.O_PATH, mode: int = 0) -> int:
    """Open `path` as if the directory `root` were `/`: symlinks and `..` stay inside. Raises OSError."""
    return openat2(root, path.lstrip("/") or ".", flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def open_beneath(root: int, path: str, flags: int = os.O_PATH, mode: int = 0) -> int:
    """Open `path` below `root`; OSError with EXDEV when a symlink or `..` on the way leads out."""
    return openat2(root, path or ".", flags, mode, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)


def resolve_in_root(root: int, path: str) -> str:
    """`path` with all its symlinks followed as if `root` were `/`; parts that do not exist are kept.

    The result has no leading slash. Only for naming: what is then opened is opened confined again.
    Raises OSError (ELOOP) for too many links.
    """
    todo = [p for p in path.split("/") if p not in ("", ".")]
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        target = _link(root, "/".join([*done, part]))
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done = []
        todo = [p for p in target.split("/") if p not in ("", ".")] + todo
    return "/".join(done)


def _link(root: int, path: str) -> str | None:
    """The target of the symlink at `path`; None when there is none."""
    try:
        fd = open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    try:
        return os.readlink("", dir_fd=fd)
    except OSError:
        return None
    finally:
        os.close(fd)


def read_in_root(root: int, path: str, limit: int) -> bytes | None:
    """Up to `limit` bytes of the regular file `path` in `root`; None when it is not there or is none."""
    try:
        return read_beginning(open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK), limit)
    except OSError:
        return None


def read_beginning(fd: int, limit: int) -> bytes:
    """Up to `limit` bytes of the file `fd`, which is closed. Raises OSError for what is no file."""
    found = b""
    try:
        # Piece by piece: to ask for all of a high limit takes room for all of it.
        while data := os.read(fd, min(limit - len(found), _PIECE)):
            found += data
    finally:
        os.close(fd)
    return found
