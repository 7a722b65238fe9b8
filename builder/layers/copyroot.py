"""A copy made at once in a root: everything is opened below its descriptor without following links."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from builder.errors import HostError
from builder.layers.copysource import check_copy, opened
from builder.layers.copytarget import Source, no_directory, not_over, not_replaced
from builder.layers.entry import Entry, Kind
from builder.linux.files import copy_data, write_all
from builder.linux.owners import make_node, set_owner
from builder.linux.paths import open_in_root, resolve_in_root
from builder.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from builder.points import point

_CONFINED = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES = {Kind.FIFO: stat.S_IFIFO, Kind.CHAR: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK}


class InRoot:
    """The Target that is the directory `root` itself, a descriptor. A context: it holds another open meanwhile."""

    def __init__(self, root: int) -> None:
        self._root = root
        # The directory last written to stays open: entries come directory by directory.
        self._parent: tuple[str, int] | None = None

    def __enter__(self) -> InRoot:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()

    def resolved(self, path: str) -> str:
        """See Target."""
        return resolve_in_root(self._root, path)

    def is_directory(self, path: str) -> bool:
        """See Target."""
        try:
            fd = open_in_root(self._root, path, os.O_PATH)
        except OSError:
            return False
        try:
            return stat.S_ISDIR(os.fstat(fd).st_mode)
        finally:
            os.close(fd)

    def make_parents(self, path: str, owner: tuple[int, int]) -> None:
        """See Target."""
        current = os.dup(self._root)
        for part in filter(None, path.split("/")):
            try:
                os.mkdir(part, 0o755, dir_fd=current)
                set_owner(f"/proc/self/fd/{current}/{part}", *owner)
                os.chmod(part, 0o755, dir_fd=current)
            except FileExistsError:
                pass
            try:
                following = os.open(part, _DIRECTORY, dir_fd=current)
            except NotADirectoryError:
                raise no_directory(path, part) from None
            finally:
                os.close(current)
            current = following
        os.close(current)

    @contextmanager
    def directory(self, path: str) -> Iterator[str]:
        """See Target."""
        yield f"/proc/self/fd/{self._below(path)}"

    def put(self, entry: Entry, source: Source | None = None, *, parent: bool = False) -> None:
        """See Target."""
        above, name = posixpath.split(entry.path)
        directory = self._below(above)
        if entry.kind is Kind.DIRECTORY:
            _make(directory, name, entry, parent)
            return
        _clear(directory, name)
        if entry.kind is Kind.FILE:
            assert source is not None
            _file(directory, name, entry, source)
        elif entry.kind is Kind.HARDLINK:
            self._link(directory, name, entry.link)
        elif entry.kind is Kind.SYMLINK:
            os.symlink(entry.link, name, dir_fd=directory)
            set_owner(f"/proc/self/fd/{directory}/{name}", entry.uid, entry.gid)
            os.utime(name, ns=times(entry), dir_fd=directory, follow_symlinks=False)
        else:
            node(directory, name, entry)

    def settle(self, directories: list[Entry]) -> None:
        """See Target."""
        for entry in directories:
            os.utime(self._below(entry.path), ns=times(entry))
        self._forget()

    def _link(self, directory: int, name: str, first: str) -> None:
        above, base = posixpath.split(first)
        held = openat2(self._root, above or ".", os.O_PATH | os.O_DIRECTORY, 0, _CONFINED)
        try:
            os.link(base, name, src_dir_fd=held, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(held)

    def _below(self, path: str) -> int:
        if self._parent is None or self._parent[0] != path:
            self._forget()
            self._parent = (path, openat2(self._root, path or ".", os.O_RDONLY | os.O_DIRECTORY, 0, _CONFINED))
        return self._parent[1]

    def _forget(self) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
            self._parent = None


def times(entry: Entry) -> tuple[int, int]:
    """The times of an entry for utimensat(2)."""
    exact = entry.mtime * 1_000_000_000 + entry.nanoseconds
    return exact, exact


def dress(fd: int, entry: Entry) -> None:
    """Owner, attributes, mode and time, in the order in which none undoes another (chown(2))."""
    set_owner(fd, entry.uid, entry.gid)
    for name, value in entry.xattrs:
        try:
            os.setxattr(fd, name, value)
        except OSError as error:
            raise _unkept(entry, name, error) from error
    os.fchmod(fd, entry.mode)
    os.utime(fd, ns=times(entry))


def node(directory: int, name: str, entry: Entry) -> None:
    """Make a FIFO or a device, or what stands for one here."""
    path = f"/proc/self/fd/{directory}/{name}"
    make_node(path, _NODES[entry.kind] | 0o600, os.makedev(*entry.device), (entry.uid, entry.gid))
    os.chmod(path, entry.mode)
    os.utime(path, ns=times(entry), follow_symlinks=False)


def _make(directory: int, name: str, entry: Entry, parent: bool) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            raise not_over(entry.path) from None
        if parent:
            return
    fd = os.open(name, _DIRECTORY, dir_fd=directory)
    try:
        dress(fd, entry)
    finally:
        os.close(fd)


def _file(directory: int, name: str, entry: Entry, source: Source) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=directory), "r+b", buffering=0) as target:
        if source.entry is None:
            write_all(target.fileno(), source.content)
        else:
            with os.fdopen(opened(source.entry, source.path), "rb", buffering=0) as file:
                copy_data(file.fileno(), target.fileno())
                point("copy:copied")
                check_copy(source.entry, file.fileno(), target.fileno())
        dress(target.fileno(), entry)


def _unkept(entry: Entry, name: str, error: OSError) -> HostError:
    return HostError(
        f"the extended attribute {name} of /{entry.path} cannot be kept in the store: {error.strerror}",
        hint="use a directory on another file system (--root DIR), or build with --context-mode=git",
    )


def _clear(directory: int, name: str) -> None:
    """Make room for a file: another file or a link is replaced, a directory is not."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.EPERM):
            raise not_replaced(name) from error
        raise
