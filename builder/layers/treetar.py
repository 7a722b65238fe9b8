"""A tree as a plain tar for somebody to read: nothing of it is hashed, and large files do not pass through here."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from builder.errors import BadInputError
from builder.layers.entry import Entry, Kind
from builder.layers.tarwrite import header
from builder.linux.files import write_all

# Below this a file is read and gathered with others: each write wakes up who reads.
_SMALL = 64 << 10
_BATCH = 512 << 10
_CHUNK = 1 << 20


def write_tree(entries: Iterable[tuple[Entry, str]], out: int) -> None:
    """Write the (entry, the path its data is at) in this order to the descriptor `out`: as write_layer, byte for byte.

    Raises BadInputError when a file changes its size while it is read, OSError from the file system.
    """
    batch = _Batch(out)
    for entry, path in entries:
        batch.add(header(entry))
        if entry.kind is Kind.FILE:
            _file(batch, entry, path)
    batch.add(bytes(1024))
    batch.flush()


def _file(batch: _Batch, entry: Entry, path: str) -> None:
    # Not to wait for a FIFO that has taken the file's place.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        left = entry.size - (batch.send(fd, entry.size) if entry.size > _SMALL else 0)
        while left and (data := os.read(fd, min(left, _CHUNK))):
            batch.add(data)
            left -= len(data)
        if left or os.read(fd, 1):
            raise BadInputError(f"/{entry.path} changed its size while it was written")
    finally:
        os.close(fd)
    batch.add(bytes(-entry.size % 512))


class _Batch:
    """Gathers small pieces on their way to `out`."""

    def __init__(self, out: int) -> None:
        self._out, self._parts, self._held = out, list[bytes](), 0

    def add(self, data: bytes) -> None:
        """Take `data`."""
        self._parts.append(data)
        self._held += len(data)
        if self._held >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        write_all(self._out, b"".join(self._parts))
        self._parts, self._held = [], 0

    def send(self, file: int, size: int) -> int:
        """Write the next `size` bytes of `file`, as far as the kernel can move them; gives how many those were."""
        self.flush()
        sent = 0
        try:
            while sent < size and (moved := os.sendfile(self._out, file, None, min(size - sent, _CHUNK))):
                sent += moved
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
        return sent
