"""Entries → tar, deterministic, in one pass: tar bytes, diff ID, file digests, content ID, compressed blob.

Headers are made by hand: tarfile takes three times as long for 20,000 of them. Format: POSIX ustar with pax
records only where ustar has no room (POSIX.1-2017 pax, "ustar Interchange Format"), whole seconds, no names of
users, two zero blocks at the end and no more padding, as Go's archive/tar and so BuildKit write it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from types import TracebackType

from msgspec import Struct
from msgspec.structs import replace

from builder import spans
from builder.digest import Digest, HashingWriter, Reader, Writer
from builder.errors import BadInputError
from builder.layers import compress
from builder.layers.contentid import ContentId
from builder.layers.entry import Entry, Kind
from builder.layers.frames import Frame, Frames
from builder.layers.whiteout import OPAQUE_NAME, PREFIX
from builder.threads import Beside

_TYPES = {
    Kind.FILE: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHAR: b"3",
    Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
    Kind.WHITEOUT: b"0",
    Kind.OPAQUE: b"0",
}
_OCTAL_7, _OCTAL_11 = 0o7777777, 0o77777777777
_CHUNK = 1 << 20
_BATCH = 512 << 10
# How many batches wait at most: half of it all may be slower for a moment.
_AHEAD = 4
_END = bytes(1024)


class WrittenLayer(Struct, frozen=True):
    """What writing a layer found out. `size` is the tar's, `blob_size` the compressed blob's, in bytes.

    Of a copy the entries have their times to the nanosecond, which the tar has not.
    """

    diff_id: Digest
    content_id: Digest
    size: int
    blob: Digest
    blob_size: int
    entries: tuple[Entry, ...]


def write_layer(
    entries: Iterable[tuple[Entry, str]], sink: Writer, compression: str = "zstd", *, moving: bool = False
) -> WrittenLayer:
    """Write the layer of (entry, path its data is read from) to `sink`.

    Raises BadInputError when a file changes its size while it is read, OSError from the file system. With `moving`
    it may: it is taken as long as it was, and what it has lost since is zeros.
    """
    with LayerTar(sink, compression) as tar:
        for entry, path in tar.now.drawn("diff", entries):
            tar.note([_write(tar, entry, path, moving)])
        return tar.finish()


def copy_layer(entries: Iterable[tuple[Entry, Reader]], sink: Writer, compression: str = "zstd") -> WrittenLayer:
    """Write the layer of (entry, its data) to `sink`, each read before the next is asked for."""
    with LayerTar(sink, compression) as tar:
        for entry, data in entries:
            tar.note([_copy(tar, entry, data)])
        return tar.finish()


class LayerTar:
    """The tar of a layer in the making: what is added is hashed and compressed by a thread beside.

    Small pieces are gathered: hashing and compressing has a price per call. A context: what is not finished then is
    given up.
    """

    def __init__(self, sink: Writer, compression: str) -> None:
        # What goes on in threads beside is told as shares, too.
        self.now = now = spans.span("tar")
        self._blob = HashingWriter(now.into("write", sink))
        self._compressed = compress.writer(compression, now.into("hash", self._blob))
        self._tar = HashingWriter(now.into("compress", self._compressed))
        self._beside: Beside[bytes | _Taken] = Beside(self._put, _AHEAD)
        self._hashed = now.into("hash", self._tar)
        self._noted = now.metered("hash", self._tar.note)
        self._parts: list[bytes] = []
        self._held = 0
        self._entries: list[Entry] = []
        self._content = ContentId()
        # How many bytes were added.
        self.size = 0

    def __enter__(self) -> LayerTar:
        self.now.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._beside.stop()
        self.now.__exit__(kind, error, traceback)

    def add(self, data: bytes) -> None:
        """Headers, data, or padding. Raises what went wrong with earlier ones."""
        self._parts.append(data)
        self._held += len(data)
        self.size += len(data)
        if self._held >= _BATCH:
            self._flush()

    def add_frame(self, data: bytes, packed: bytes, first: int, after: int | None) -> None:
        """As `add(data)`, which is a frame of another layer's blob, see Frames.write_frame."""
        self._flush()
        self.size += len(data)
        self._beside.put(_Taken(data, packed, first, after))

    def note(self, entries: Sequence[Entry]) -> None:
        """Say which entries were added, or are about to be, with their digests: in their order, at any time."""
        self._entries += entries
        for entry in entries:
            self._content.add(entry)

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames of the blob, once it is finished; none of one that is not in frames."""
        return tuple(self._compressed.made) if isinstance(self._compressed, Frames) else ()

    def finish(self) -> WrittenLayer:
        """The end."""
        self.add(_END)
        self._flush()
        content = self._content.digest()
        self._beside.end()
        self.now.metered("compress", self._compressed.finish)()
        self.now.note("entries", len(self._entries))
        self.now.note("bytes", self._tar.size)
        return WrittenLayer(
            self._tar.digest(), content, self._tar.size, self._blob.digest(), self._blob.size, tuple(self._entries)
        )

    def _flush(self) -> None:
        if self._parts:
            self._beside.put(b"".join(self._parts))
            self._parts, self._held = [], 0

    def _put(self, data: bytes | _Taken) -> None:
        if isinstance(data, bytes):
            self._hashed.write(data)
        elif isinstance(self._compressed, Frames):
            self._noted(data.data)
            self._compressed.write_frame(data.data, data.packed, data.first, data.after)
        else:
            self._hashed.write(data.data)


class _Taken(Struct, frozen=True):
    """What was taken from another layer's blob."""

    data: bytes
    packed: bytes
    first: int
    after: int | None


def _write(tar: LayerTar, entry: Entry, path: str, moving: bool) -> Entry:
    tar.add(header(entry))
    if entry.kind is not Kind.FILE:
        return entry
    state = hashlib.sha256()
    update = tar.now.metered("hash", state.update)
    left = entry.size
    # Not to wait for a FIFO that has taken the file's place.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while left:
            data = os.read(fd, min(left, _CHUNK)) or bytes(min(left, _CHUNK) if moving else 0)
            if not data:
                break
            update(data)
            tar.add(data)
            left -= len(data)
        if left or (not moving and os.read(fd, 1)):
            raise BadInputError(f"/{entry.path} changed its size while its layer was written")
    finally:
        os.close(fd)
    tar.add(bytes(-entry.size % 512))
    return replace(entry, digest=Digest(state.hexdigest()))


def _copy(tar: LayerTar, entry: Entry, data: Reader) -> Entry:
    tar.add(header(entry))
    if entry.kind is not Kind.FILE:
        return entry
    state = hashlib.sha256()
    update = tar.now.metered("hash", state.update)
    while piece := data.read(_CHUNK):
        update(piece)
        tar.add(piece)
    tar.add(bytes(-entry.size % 512))
    return replace(entry, digest=Digest(state.hexdigest()))


def header(entry: Entry, *, exact: bool = True) -> bytes:
    """The header block(s) of one entry, pax records before them where they are needed; whole seconds if not `exact`."""
    name = _tar_name(entry)
    link = os.fsencode(entry.link)
    records: list[tuple[bytes, bytes]] = []
    prefix, short = _split(name)
    if short is None:
        records.append((b"path", name))
        prefix, short = b"", name[:100]
    if len(link) > 100:
        records.append((b"linkpath", link))
        link = link[:100]
    size = entry.size if entry.kind is Kind.FILE else 0
    numbers = [entry.uid, entry.gid]
    for key, value, most in (
        (b"uid", entry.uid, _OCTAL_7),
        (b"gid", entry.gid, _OCTAL_7),
        (b"size", size, _OCTAL_11),
    ):
        if not 0 <= value <= most:
            records.append((key, b"%d" % value))
    nanoseconds = entry.nanoseconds if exact else 0
    if nanoseconds or not 0 <= entry.mtime <= _OCTAL_11:
        records.append((b"mtime", _decimal(entry.mtime, nanoseconds)))
    records += [(b"SCHILY.xattr." + os.fsencode(n), v) for n, v in entry.xattrs]
    block = _block(
        short,
        entry.mode,
        [n if n <= _OCTAL_7 else 0 for n in numbers],
        size if size <= _OCTAL_11 else 0,
        entry.mtime if 0 <= entry.mtime <= _OCTAL_11 else 0,
        _TYPES[entry.kind],
        link,
        entry.device,
        prefix,
    )
    return _pax(records, short) + block if records else block


def _decimal(seconds: int, nanoseconds: int) -> bytes:
    """A time as pax has it, without a fraction where there is none."""
    if not nanoseconds:
        return b"%d" % seconds
    whole = seconds * 1_000_000_000 + nanoseconds
    sign = b"-" if whole < 0 else b""
    return sign + b"%d.%09d" % divmod(abs(whole), 1_000_000_000)


def _tar_name(entry: Entry) -> bytes:
    name = os.fsencode(entry.path)
    if entry.kind is Kind.DIRECTORY:
        return name + b"/" if name else b"./"
    if entry.kind is Kind.WHITEOUT:
        directory, _, base = name.rpartition(b"/")
        return (directory + b"/" if directory else b"") + PREFIX.encode() + base
    if entry.kind is Kind.OPAQUE:
        return (name + b"/" if name else b"") + OPAQUE_NAME.encode()
    return name


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """Prefix and name fields for `name`; (b"", None) when it does not fit."""
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, min(len(name) - 1, 156))
    if 0 < cut <= 155 and len(name) - cut - 1 <= 100:
        return name[:cut], name[cut + 1 :]
    return b"", None


def _block(
    name: bytes,
    mode: int,
    ids: list[int],
    size: int,
    mtime: int,
    kind: bytes,
    link: bytes,
    device: tuple[int, int],
    prefix: bytes,
) -> bytes:
    head = b"%-100b%07o\0%07o\0%07o\0%011o\0%011o\0" % (b"", mode, ids[0], ids[1], size, mtime)
    head = name.ljust(100, b"\0") + head[100:]
    tail = b"%b%b%b%07o\0%07o\0%b" % (
        kind,
        link.ljust(100, b"\0"),
        b"ustar\x0000".ljust(72, b"\0"),
        device[0],
        device[1],
        prefix.ljust(167, b"\0"),
    )
    checksum = sum(head) + 8 * 32 + sum(tail)
    return b"%b%06o\0 %b" % (head, checksum, tail)


def _pax(records: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    body = b"".join(_record(key, value) for key, value in sorted(records))
    base = name.rstrip(b"/").rpartition(b"/")[2]
    block = _block((b"PaxHeaders.0/" + base)[:100], 0o644, [0, 0], len(body), 0, b"x", b"", (0, 0), b"")
    return block + body + bytes(-len(body) % 512)


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" %b=%b\n" % (key, value)
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d%b" % (length, rest)
