"""The files of a layer, made in its snapshot as they come: with as few system calls as a file can be made by."""

from __future__ import annotations

import os

from msgspec import Struct

from builder.errors import BadInputError
from builder.layers.copyjob import ContextEntry
from builder.layers.copyroot import dress, node, times
from builder.layers.copysource import check_content
from builder.layers.entry import Entry, Kind
from builder.linux.files import write_all
from builder.linux.owners import set_owner

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN_BITS = 0o777


class Piece(Struct, gc=False):
    """An entry to be made, a file with its `data`, or the beginning of it; or more of the file that was begun.

    `more`: the file goes on in the next piece. `check`: what is in the file now must be what the key of this says.
    """

    entry: Entry | None = None
    data: bytes = b""
    more: bool = False
    check: ContextEntry | None = None


class TreeWriter:
    """Makes entries in `directory`, which is empty: parents first, what is in a directory before what comes after it.

    Directories get owner, mode and times when all that goes into them is there. A context.
    """

    def __init__(self, directory: str) -> None:
        self._open = [_Directory("", os.open(directory, _DIRECTORY), None)]
        self._file: tuple[int, Entry] | None = None
        self._umask = os.umask(0)
        os.umask(self._umask)
        self._top = directory

    def __enter__(self) -> TreeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file[0])
        while self._open:
            os.close(self._open.pop().fd)

    def put(self, piece: Piece) -> None:
        """Make this. Raises OSError, HostError, and BadInputError for a file that is not what it must be."""
        if piece.entry is not None:
            self._begin(piece.entry)
        if self._file is not None:
            self._go_on(self._file, piece)

    def finish(self) -> None:
        """All is there."""
        self._leave("")

    def _begin(self, entry: Entry) -> None:
        above, _, name = entry.path.rpartition("/")
        if self._open[-1].path != above:
            self._leave(above)
        held = self._open[-1]
        if entry.kind is Kind.FILE:
            mode = entry.mode & _PLAIN_BITS
            fd = os.open(name, _NEW, mode, dir_fd=held.fd)
            self._file = fd, entry
        elif entry.kind is Kind.DIRECTORY:
            os.mkdir(name, 0o700, dir_fd=held.fd)
            self._open.append(_Directory(entry.path, os.open(name, _DIRECTORY, dir_fd=held.fd), entry))
        elif entry.kind is Kind.SYMLINK:
            os.symlink(entry.link, name, dir_fd=held.fd)
            set_owner(f"/proc/self/fd/{held.fd}/{name}", entry.uid, entry.gid)
            os.utime(name, ns=times(entry), dir_fd=held.fd, follow_symlinks=False)
        elif entry.kind is Kind.HARDLINK:
            os.link(f"{self._top}/{entry.link}", name, dst_dir_fd=held.fd, follow_symlinks=False)
        else:
            node(held.fd, name, entry)

    def _go_on(self, file: tuple[int, Entry], piece: Piece) -> None:
        fd, entry = file
        if piece.data:
            write_all(fd, piece.data)
        if piece.check is not None:
            check_content(piece.check, fd)
        if piece.more:
            return
        if self._is_plain(entry):
            os.utime(fd, ns=times(entry))
        else:
            dress(fd, entry)
        self._file = None
        os.close(fd)

    def _is_plain(self, entry: Entry) -> bool:
        """Whether a file has owner and mode from its making."""
        return (
            (entry.uid, entry.gid) == self._open[-1].owner
            and not entry.mode & (self._umask | ~_PLAIN_BITS)
            and not entry.xattrs
        )

    def _leave(self, path: str) -> None:
        """Close the directories in which `path` is not."""
        while self._open[-1].path and not f"{path}/".startswith(f"{self._open[-1].path}/"):
            left = self._open.pop()
            try:
                assert left.entry is not None
                dress(left.fd, left.entry)
            finally:
                os.close(left.fd)
        if self._open[-1].path != path:
            raise BadInputError(f"/{path} is no directory of its layer")


class _Directory:
    """One that is open. `owner` is whose a new file in it is: a file system may give it the directory's group."""

    def __init__(self, path: str, fd: int, entry: Entry | None) -> None:
        self.path, self.fd, self.entry = path, fd, entry
        status = os.fstat(fd)
        self.owner = (status.st_uid, status.st_gid)
