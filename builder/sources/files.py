"""The files of an image archive or of a directory like one, opened by name. Nothing is written by these names."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol, cast

from builder.errors import BadInputError
from builder.layers import compress
from builder.layers.bounds import Bounded, Bounds, Counted
from builder.layers.entry import Entry, Kind
from builder.layers.tarread import placed_entries
from builder.linux.paths import open_beneath

# Images have some hundred files at most.
_MOST_FILES = 100_000
# As the kernel follows (path_resolution(7)).
_MOST_LINKS = 40


class File(Protocol):
    """Bytes from the beginning on."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; all that is left when negative."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Files(Protocol):
    """A set of files, opened by their name relative to its top."""

    def open(self, name: str) -> File | None:
        """The file, or None when there is none of that name."""
        ...


class DirectoryFiles:
    """Files below a directory; no symlink leads out of it."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self, name: str) -> File | None:
        """The file `name`."""
        try:
            return os.fdopen(open_beneath(self._fd, name, os.O_RDONLY | os.O_NONBLOCK), "rb")
        except OSError:
            return None

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._fd)


class ArchiveFiles:
    """Files of a plain tar that can be read at any place. Raises BadInputError for what is none."""

    def __init__(self, file: IO[bytes]) -> None:
        self._fd = file.fileno()
        self._entries: dict[str, tuple[Entry, int]] = {}
        try:
            for number, (entry, offset) in enumerate(placed_entries(self._fd)):
                if number == _MOST_FILES:
                    raise BadInputError(f"it has more than {_MOST_FILES} files")
                self._entries[entry.path] = entry, offset
        except BadInputError as error:
            raise BadInputError(f"not an image archive: {error.message}", hint=error.hint) from error

    def open(self, name: str) -> File | None:
        """The file `name`; links inside the archive are followed, as old `docker save` makes them."""
        path, links = posixpath.normpath(name), 0
        found = self._entries.get(path)
        while found is not None and found[0].kind in (Kind.SYMLINK, Kind.HARDLINK):
            path = posixpath.normpath(_target(path, found[0]))
            found, links = self._entries.get(path), links + 1
            if found is None or links > _MOST_LINKS:
                raise BadInputError(f"{name} of the archive is a link that leads nowhere")
        if found is None:
            return None
        entry, offset = found
        if entry.kind is not Kind.FILE:
            raise BadInputError(f"{name} of the archive is no file")
        return _Part(self._fd, offset, entry.size)

    def close(self) -> None:
        """Nothing: whoever opened the archive closes it."""


def _target(path: str, link: Entry) -> str:
    return link.link if link.kind is Kind.HARDLINK else f"{posixpath.dirname(path)}/{link.link}".lstrip("/")


class _Part:
    """The bytes of one file in an archive."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd, self._at, self._left = fd, offset, size

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        data = os.pread(self._fd, min(size, self._left), self._at)
        if not data and size and self._left:
            raise BadInputError("the archive is cut off")
        self._at += len(data)
        self._left -= len(data)
        return data

    def close(self) -> None:
        pass


@contextmanager
def archive(file: IO[bytes], spool: str, bounds: Bounds) -> Iterator[Files]:
    """The files of an image archive, plain or compressed. What cannot be read at any place (a pipe, or
    compressed data) is first copied to a nameless file in the directory `spool`. Raises BadInputError.
    """
    peekable = compress.Peekable(file)
    compression = compress.detect(peekable.peek(6))
    if compression == "uncompressed" and file.seekable():
        yield ArchiveFiles(file)
        return
    # lazy: only compressed or piped archives
    import shutil
    import tempfile

    with tempfile.TemporaryFile(dir=spool) as plain:
        packed = Counted(peekable)
        unpacked = compress.reader(compression, packed)
        source = unpacked if compression == "uncompressed" else Bounded(unpacked, packed, bounds)
        try:
            shutil.copyfileobj(cast("IO[bytes]", source), plain, 1 << 20)
        except BadInputError as error:
            raise BadInputError(f"the archive cannot be used: {error.message}", hint=error.hint) from error
        plain.flush()
        yield ArchiveFiles(plain)
