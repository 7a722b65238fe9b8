"""Content digests (sha256 only) and the readers and writers that compute or check them.

A digest is never a plain string inside pybuild: `Digest` is made by hashing or by `parse`,
so a value of that type is well formed (OCI image spec, descriptor.md, "Digests").
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from io import RawIOBase
from typing import Protocol

from msgspec import Struct

from builder.errors import BadInputError

# In bytes: smaller files are read with one call.
_AT_ONCE = 256 << 10
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})\Z")


class Digest(Struct, frozen=True, order=True):
    """A sha256 digest; `str()` gives `sha256:<hex>`."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:<64 lower-case hex>`. Raises BadInputError for anything else."""
        match = _SHA256.match(text)
        if match is None:
            raise BadInputError(f"not a usable digest: {text[:100]!r}", hint="only sha256:<64 hex digits> is supported")
        return cls(match[1])

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The digest of `data`."""
        return cls(hashlib.sha256(data).hexdigest())

    def __str__(self) -> str:
        return f"sha256:{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 hex digits, as Docker prints image IDs."""
        return self.hex[:12]


def file_sha256(fd: int, size: int, moved: Callable[[int], object] | None = None) -> bytes:
    """The sha256 of the file at a descriptor, which has about `size` bytes; its position is at the beginning.

    `moved` is told of bytes that were read of a large one.
    """
    if size < _AT_ONCE:
        # Mostly all of it; hashlib.file_digest would make its 256 kB buffer anew for each small file.
        data = os.read(fd, size + 1)
        if len(data) == size:
            return hashlib.sha256(data).digest()
        os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", buffering=0, closefd=False) as file:
        return hashlib.file_digest(file if moved is None else _Told(file, moved), "sha256").digest()


class _Told:
    """A file whose reading somebody is told of; as much of one as hashlib.file_digest asks for."""

    def __init__(self, file: RawIOBase, moved: Callable[[int], object]) -> None:
        self._file, self._moved = file, moved

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        count = self._file.readinto(buffer) or 0
        self._moved(count)
        return count


class Reader(Protocol):
    """Anything bytes are read from: `read(n)` gives up to n bytes, b"" at the end."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; all that is left when negative."""
        ...


class Writer(Protocol):
    """Anything bytes are written to."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""
        ...


class HashingWriter:
    """Passes bytes on to `sink` while counting and hashing them."""

    def __init__(self, sink: Writer) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Hash `data` and hand it on; returns its length."""
        self.note(data)
        self._sink.write(data)
        return len(data)

    def note(self, data: bytes) -> None:
        """Hash `data`, which gets to the sink otherwise."""
        self._hash.update(data)
        self.size += len(data)

    def digest(self) -> Digest:
        """The digest of all bytes written so far."""
        return Digest(self._hash.hexdigest())


class HashingReader:
    """Hands on bytes of `source` while counting and hashing them."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of the source, hashed."""
        data = self._source.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    def digest(self) -> Digest:
        """The digest of all bytes read so far."""
        return Digest(self._hash.hexdigest())


class VerifyingReader:
    """Reads a blob and raises BadInputError when it ends if it is not what `digest` names.

    Every blob is read through this; the caller must read to the end before it trusts
    anything it made of the bytes. `size` (bytes) is checked too where it is known; `hint` says what to do, and `name`
    is what messages call the blob.
    """

    def __init__(
        self, source: Reader, digest: Digest, size: int | None = None, hint: str | None = None, name: str = ""
    ) -> None:
        self._inner = HashingReader(source)
        self._name = name or f"blob {digest}"
        self._digest = digest
        self._size = size
        self._hint = hint

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes. Raises BadInputError at the end when the content is not the digest's."""
        data = self._inner.read(size)
        if self._size is not None and self._inner.size > self._size:
            raise self._wrong(f"is longer than the {self._size} bytes declared for it")
        if size != 0 and (size < 0 or not data):
            self._check()
        return data

    def drain(self) -> None:
        """Read whatever is left, so that the check at the end happens."""
        while self.read(1 << 20):
            pass

    def _check(self) -> None:
        if self._size is not None and self._inner.size != self._size:
            raise self._wrong(f"has {self._inner.size} bytes, {self._size} were declared")
        if self._inner.digest() != self._digest:
            raise self._wrong(f"is damaged: its content hashes to {self._inner.digest()}")

    def _wrong(self, what: str) -> BadInputError:
        return BadInputError(f"{self._name} {what}", hint=self._hint)
