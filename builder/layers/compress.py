"""Compression of layers: zstd, gzip, none, behind one protocol; and what bytes are compressed with.

zstd runs at level 3 with one thread: several threads cut the stream into other frames, and the same layer
must always give the same blob. So must gzip, for which see `_Even`.
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

from msgspec import Struct

from builder.digest import Reader, Writer
from builder.errors import BadInputError, UsageError
from builder.layers.frames import Frames

NAMES = ("zstd", "gzip", "uncompressed")
_ZSTD_LEVEL = 3
_GZIP_LEVEL = 2
_LEVELS = {"zstd": (_ZSTD_LEVEL, 22), "gzip": (_GZIP_LEVEL, 9), "uncompressed": (0, 0)}
# isal has the levels up to this; it is some ten times faster than zlib, and makes about as little of a layer.
_FAST = 3
_EVEN = 1 << 20
_CHUNK = 256 << 10
# How much is decompressed at once: of what can be told where to stop, and of zstd, which cannot. There four bytes can
# become 128 KiB (RFC 8878, RLE_Block), so hostile data cannot take more than 32 MiB of memory.
_SLICE, _ZSTD_SLICE = 16 << 10, 1 << 10
# xz's own limit for the default of `xz -9` is half of this; what asks for more is made to fill memory.
_XZ_MEMORY = 128 << 20
_MAGIC = (
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)


class Form(Struct, frozen=True):
    """How something is compressed: a name of NAMES, and a level; None is the one we choose."""

    compression: str
    level: int | None = None

    @classmethod
    def parse(cls, compression: str, level: str | None = None) -> Form:
        """Read what users write. Raises UsageError for what we cannot do."""
        if compression not in NAMES:
            raise UsageError(f"compression={compression} is not known", hint=f"use {', '.join(NAMES)}")
        if level is None:
            return cls(compression)
        most = _LEVELS[compression][1]
        if not (level.isascii() and level.isdigit() and int(level) <= most and (int(level) or not most)):
            hint = f"{compression} has 1 to {most}" if most else "what is not compressed has none"
            raise UsageError(f"compression-level={level} is not a level of {compression}", hint=hint)
        return cls(compression, int(level) or None)

    @property
    def exact(self) -> int:
        """The level, also where it was left to us."""
        return self.level or _LEVELS[self.compression][0]

    def __str__(self) -> str:
        return f"{self.compression} {self.exact}"


class CompressedWriter(Protocol):
    """Takes plain bytes; `finish` writes what is still held back. The sink stays open."""

    def write(self, data: bytes, /) -> object:
        """Take all of `data`."""
        ...

    def finish(self) -> None:
        """Write the end."""
        ...


class _Plain:
    def __init__(self, sink: Writer) -> None:
        self.write = sink.write

    def finish(self) -> None:
        pass


class _Stream:
    """Over an object with compress() and flush()."""

    def __init__(self, sink: Writer, compressor: Any) -> None:
        self._sink, self._compressor = sink, compressor

    def write(self, data: bytes) -> None:
        if out := self._compressor.compress(data):
            self._sink.write(out)

    def finish(self) -> None:
        self._sink.write(self._compressor.flush())


class _Even:
    """Hands on pieces of one size: what isal makes of the same bytes depends on how they are cut."""

    def __init__(self, inner: CompressedWriter) -> None:
        self._inner = inner
        self._held = bytearray()

    def write(self, data: bytes) -> None:
        if not self._held and len(data) == _EVEN:
            self._inner.write(data)
            return
        self._held += data
        while len(self._held) >= _EVEN:
            self._inner.write(bytes(self._held[:_EVEN]))
            del self._held[:_EVEN]

    def finish(self) -> None:
        if self._held:
            self._inner.write(bytes(self._held))
        self._inner.finish()


def writer(name: str, sink: Writer, level: int | None = None) -> CompressedWriter:
    """Compress into `sink` as `name` of NAMES says. Raises UsageError for another name."""
    if name == "uncompressed":
        return _Plain(sink)
    if name == "zstd":
        return Frames(sink, level or _ZSTD_LEVEL)
    if name == "gzip":
        level = level or _GZIP_LEVEL
        if level > _FAST:
            return _Stream(sink, zlib.compressobj(level, wbits=31))
        # lazy: only for export
        from isal import isal_zlib

        return _Even(_Stream(sink, isal_zlib.compressobj(level, wbits=31)))
    raise UsageError(f"compression {name!r} is not known", hint=f"use one of {', '.join(NAMES)}")


def packed(data: bytes) -> bytes:
    """`data` as one zstd frame, which says its length; the same data gives the same frame."""
    # lazy: as above
    import zstandard

    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)


def unpacked(frame: bytes, size: int) -> bytes:
    """The `size` bytes of one zstd frame; no more memory is taken, whatever it says. Raises BadInputError."""
    # lazy: as above
    import zstandard

    try:
        if zstandard.frame_content_size(frame) != size:
            raise BadInputError(f"the zstd data does not hold the {size} bytes it should")
        return zstandard.ZstdDecompressor().decompress(frame, size, allow_extra_data=False)
    except (zstandard.ZstdError, MemoryError) as error:
        raise BadInputError(f"the zstd data is damaged: {error}") from error


class _Zstd:
    """A zstd decompressor as those of bz2 and lzma are, but for `most`: what is given at once must be little."""

    needs_input = True

    def __init__(self) -> None:
        # lazy: as above
        import zstandard

        self._object = zstandard.ZstdDecompressor().decompressobj()

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._object.decompress(data)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data


class _Decompressing:
    """Reads plain bytes through an object such as bz2.BZ2Decompressor, over several members or frames.

    What is read may be shorter than asked for, as with any stream.
    """

    def __init__(self, source: Reader, make: Any, what: str, slice_: int = _SLICE) -> None:
        self._source, self._make, self._what, self._slice = source, make, what, slice_
        self._object = make()
        # whether there was something of the member or frame, and how many were before it
        self._begun, self._members = False, 0
        # What was read of the source, and how much of it was given to the object, or what was left over of that.
        self._compressed, self._at, self._left = b"", 0, b""
        # What was decompressed, and how much of it was read.
        self._ready, self._taken = b"", 0

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        if self._taken == len(self._ready):
            self._ready, self._taken = self._more(), 0
        data = self._ready[self._taken : self._taken + size]
        self._taken += len(data)
        return data

    def _more(self) -> bytes:
        """The next piece, b"" at the end."""
        while True:
            data = b""
            if self._object.eof:
                self._left = self._object.unused_data
                self._object = self._make()
                self._begun, self._members = False, self._members + 1
            if self._object.needs_input:
                data = self._next()
                if not data:
                    if self._begun:
                        raise BadInputError(f"the {self._what} data is cut off")
                    return b""
            if self._members and not self._begun:
                data = data.lstrip(b"\0")  # padding after the last member (gzip(1) ignores it too)
                if not data:
                    continue
            self._begun = True
            try:
                piece: bytes = self._object.decompress(data, _CHUNK)
            except Exception as error:  # each codec has an error class of its own; all mean the same here
                raise BadInputError(f"the {self._what} data is damaged: {error}") from error
            if piece:
                return piece

    def _next(self) -> bytes:
        """The next slice of the source."""
        if self._left:
            data, self._left = self._left, b""
            return data
        if self._at >= len(self._compressed):
            self._compressed, self._at = self._source.read(_CHUNK), 0
        data = self._compressed[self._at : self._at + self._slice]
        self._at += len(data)
        return data


def reader(name: str, source: Reader) -> Reader:
    """Decompress `source`, compressed as `detect` says. Raises BadInputError while reading damaged data."""
    if name == "uncompressed":
        return source
    if name == "zstd":
        return _Decompressing(source, _Zstd, "zstd", _ZSTD_SLICE)
    if name == "gzip":
        # lazy: as above
        from isal import igzip_lib

        return _Decompressing(source, lambda: igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP), "gzip")
    if name == "bzip2":
        # lazy: rare
        import bz2

        return _Decompressing(source, bz2.BZ2Decompressor, "bzip2")
    if name == "xz":
        # lazy: rare
        import lzma

        return _Decompressing(source, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY), "xz")
    raise BadInputError(f"{name!r} compressed data cannot be read")


def detect(first: bytes) -> str:
    """What the first bytes of a file say it is compressed with."""
    return next((name for magic, name in _MAGIC if first.startswith(magic)), "uncompressed")


class Whole:
    """Reads as much as is asked for: what is decompressed comes in small pieces, each of which would have its price."""

    def __init__(self, source: Reader) -> None:
        self._source = source

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer at the end."""
        parts, left = [], size
        while left and (data := self._source.read(left)):
            parts.append(data)
            left -= len(data)
        return b"".join(parts)


class Peekable:
    """A reader whose first bytes can be looked at before they are read."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._held = b""

    def peek(self, size: int) -> bytes:
        """The next `size` bytes (fewer at the end), still to be read."""
        while len(self._held) < size:
            data = self._source.read(size - len(self._held))
            if not data:
                break
            self._held += data
        return self._held[:size]

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        if not self._held:
            return self._source.read(size)
        if size < 0:
            data, self._held = self._held + self._source.read(), b""
            return data
        data, self._held = self._held[:size], self._held[size:]
        return data


def plain(source: Reader) -> Reader:
    """`source` decompressed by whatever its first bytes say."""
    peekable = Peekable(source)
    return reader(detect(peekable.peek(6)), peekable)
