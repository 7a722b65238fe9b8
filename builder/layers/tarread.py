"""Tar streams → entries, trusting nothing (POSIX.1-2017 pax; GNU tar's long names and base-256 numbers).

The parser is our own: it streams, checks every name before anyone uses it, and says which entry is wrong.
Unpacking is in extract.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from msgspec.structs import replace

from builder.digest import Reader
from builder.errors import BadInputError
from builder.layers.entry import Entry, Kind
from builder.layers.whiteout import OPAQUE_NAME, PREFIX, is_overlay_xattr
from builder.linux.owners import is_record

_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHAR,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}
_LARGEST_HEADER = 8 << 20
_LARGEST_ID = 2**32 - 2
_LARGEST_FILE = 1 << 50
_MOST_ENTRIES = 20_000_000
_PIECE = 1 << 20
_AHEAD = 64 << 10
# Most names are like this, and short enough for any file system: nothing about them needs tidying.
_CLEAN = re.compile(r"[a-zA-Z0-9_][^\0/]*(?:/[^\0/.][^\0/]*)*")
_SHORT = 64
_PAX_LENGTH = re.compile(rb"(\d{1,9}) ")


class Data:
    """The content of one file entry: read it before the next entry is asked for, or it is passed over."""

    def __init__(self, source: Reader, size: int, name: str) -> None:
        self._source, self.left, self._name = source, size, name
        self._padding = -size % 512

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; b"" at the end. Raises BadInputError when the archive is cut off."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        if not self.left:
            return b""
        data = self._source.read(min(size, self.left, _PIECE))
        if not data and size:
            raise BadInputError(f"the archive is cut off in {self._name!r}")
        self.left -= len(data)
        return data

    def skip(self) -> None:
        """Pass over what is left, padding included."""
        while self.left:
            self.read(_PIECE)
        if self._padding:
            _exactly(self._source, self._padding, self._name)
            self._padding = 0


class _Buffered:
    """Reads a stream in large pieces, and hands them on in small ones."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._held, self._at = b"", 0

    def read(self, size: int = -1, /) -> bytes:
        if self._at == len(self._held):
            if not 0 <= size < _AHEAD:
                return self._source.read(size)
            self._held, self._at = self._source.read(_AHEAD), 0
        data = self._held[self._at : self._at + size]
        self._at += len(data)
        return data


def read_entries(source: Reader, *, whiteouts: bool = True) -> Iterator[tuple[Entry, Data]]:
    """The entries of a tar stream in its order, read to the stream's end.

    With `whiteouts`, `.wh.` names become WHITEOUT and OPAQUE entries, as in a layer. File entries have no digest. An
    absolute name is one below the root, as tar(1) and Docker take it.
    Raises BadInputError naming the entry for anything that is not a clean archive: a name that climbs out by `..`, a
    bad checksum, a type or size that cannot be, an end too soon.
    """
    stream = _Buffered(source)
    for entry in _entries(stream, PREFIX if whiteouts else ""):
        data = Data(stream, entry.size, entry.path)
        yield _whiteout(entry) if whiteouts else entry, data
        data.skip()
    _drain(stream)


def placed_entries(fd: int) -> Iterator[tuple[Entry, int]]:
    """The entries of a tar in a file that can be read at any place, with where in it the data of each begins.

    No data is read, and none need be there; nor is what follows the end. Raises as `read_entries`.
    """
    source = _Placed(fd)
    for entry in _entries(source, ""):
        yield entry, source.at
        source.at += entry.size + -entry.size % 512


class _Placed:
    """Reads a file from `at` on."""

    def __init__(self, fd: int) -> None:
        self._fd, self.at = fd, 0

    def read(self, size: int = -1, /) -> bytes:
        data = os.pread(self._fd, size, self.at)
        self.at += len(data)
        return data


def _entries(stream: Reader, mark: str) -> Iterator[Entry]:
    """The entries of a tar; whoever asks for the next one has gone past the data of the one before, and its padding."""
    overrides: dict[bytes, bytes] = {}
    count = extended = 0
    while True:
        block = _block(stream, first=not count)
        if block is None:
            return
        count += 1
        if count > _MOST_ENTRIES:
            raise BadInputError(f"the archive has more than {_MOST_ENTRIES} entries")
        kind = block[156:157]
        size = _size(block, overrides)
        if kind in (b"x", b"L", b"K", b"g", b"X"):
            extended += size
            _extended(kind, _body(stream, size, extended), overrides)
            continue
        yield _entry(block, kind, size, overrides, mark)
        overrides, extended = {}, 0


# --- blocks --------------------------------------------------------------------------------------


def _exactly(source: Reader, length: int, name: str) -> bytes:
    data = source.read(length)
    if len(data) == length:
        return data
    parts = [data]
    got = len(data)
    while got < length:
        data = source.read(length - got)
        if not data:
            raise BadInputError(f"the archive is cut off in {name!r}")
        parts.append(data)
        got += len(data)
    return b"".join(parts)


def _block(source: Reader, *, first: bool) -> bytes | None:
    """The next header block; None at the end of the archive."""
    data = b""
    while len(data) < 512:
        more = source.read(512 - len(data))
        if not more:
            break
        data += more
    if not data and not first:
        return None  # no end marker: written by sloppy tools, read by all
    if len(data) < 512:
        raise BadInputError("not a tar archive" if first else "the archive is cut off in a header")
    if not data.strip(b"\0"):
        return None
    try:
        stored = int(data[148:156].strip(b" \0") or b"0", 8)
    except ValueError:
        stored = -1
    unsigned = sum(data) - sum(data[148:156]) + 256  # as if the field were blanks
    if stored != unsigned:
        raise BadInputError("not a tar archive" if first else "the archive has a damaged header")
    return data


def _drain(source: Reader) -> None:
    # Whatever follows the end marker counts for a digest of the stream, so it must be read; it must be padding.
    while data := source.read(_PIECE):
        if data.strip(b"\0"):
            raise BadInputError("there is data after the end of the archive")


def _number(field: bytes, what: str) -> int:
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (len(field) * 8 - 1)) - 1)
        return value - (1 << (len(field) * 8 - 1)) if field[0] & 0x40 else value
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise BadInputError(f"the archive has a header whose {what} is no number") from None


def _size(block: bytes, overrides: dict[bytes, bytes]) -> int:
    size = _decimal(overrides[b"size"], "size") if b"size" in overrides else _number(block[124:136], "size")
    if not 0 <= size <= _LARGEST_FILE:
        raise BadInputError(f"the archive has an entry of {size} bytes")
    return size


def _time(text: bytes) -> tuple[int, int]:
    """A pax time as seconds and nanoseconds on top of them; a time before 1970 has a sign for both."""
    seconds = _decimal(text, "mtime")
    fraction = int(text.partition(b".")[2][:9].ljust(9, b"0"))
    whole = abs(seconds) * 1_000_000_000 + fraction
    return divmod(-whole if text.startswith(b"-") else whole, 1_000_000_000)


def _decimal(text: bytes, what: str) -> int:
    if not re.fullmatch(rb"-?\d{1,19}(\.\d*)?", text):
        raise BadInputError(f"the archive has a pax {what} that is no number")
    return int(text.split(b".")[0])


# --- extended headers ----------------------------------------------------------------------------


def _body(source: Reader, size: int, together: int) -> bytes:
    """An extended header; those of one entry have so many bytes `together`."""
    if together > _LARGEST_HEADER:
        raise BadInputError(f"the archive has an extended header of {together} bytes")
    data = _exactly(source, size, "an extended header") if size else b""
    if size % 512:
        _exactly(source, -size % 512, "an extended header")
    return data


def _extended(kind: bytes, body: bytes, overrides: dict[bytes, bytes]) -> None:
    if kind == b"L":
        overrides[b"path"] = body.rstrip(b"\0")
    elif kind == b"K":
        overrides[b"linkpath"] = body.rstrip(b"\0")
    elif kind in (b"x", b"X"):
        overrides.update(_pax(body))
    # b"g": comments of git archive and the like; nothing a layer keeps


def _pax(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(body):
        match = _PAX_LENGTH.match(body, at)
        end = at + int(match[1]) if match else 0
        if match is None or end <= match.end() or end > len(body) or body[end - 1 : end] != b"\n":
            raise BadInputError("the archive has a damaged pax header")
        key, equals, value = body[match.end() : end - 1].partition(b"=")
        if not equals:
            raise BadInputError("the archive has a damaged pax header")
        if key.startswith(b"GNU.sparse."):
            raise BadInputError("sparse files in archives are not supported", hint="make it without --sparse")
        yield key, value
        at = end


# --- entries -------------------------------------------------------------------------------------


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _raw_name(block: bytes) -> bytes:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def clean_name(raw: str, what: str = "entry", mark: str = "") -> str:
    """A name relative to the root, `./` and slashes tidied, one at its beginning too. Raises BadInputError for `..`.

    `mark` may stand before the last part of it without making it too long: it is not part of any file's name.
    """
    if len(raw) < _SHORT and _CLEAN.fullmatch(raw):
        return raw
    if "\0" in raw:
        raise BadInputError(f"{what} {raw[:200]!r} of the archive has a NUL in its name")
    parts = [p for p in raw.split("/") if p not in ("", ".")]
    if ".." in parts:
        raise BadInputError(f"{what} {raw[:200]!r} of the archive climbs out of its root")
    names = [*parts[:-1], *(p.removeprefix(mark) for p in parts[-1:])]
    if any(len(p.encode(errors="surrogateescape")) > 255 for p in names):
        raise BadInputError(f"{what} {raw[:60]!r}… of the archive has a name no file system takes")
    return "/".join(parts)


def _entry(block: bytes, flag: bytes, size: int, overrides: dict[bytes, bytes], mark: str) -> Entry:
    raw = overrides.get(b"path", _raw_name(block))
    kind = _KINDS.get(flag)
    if kind is None:
        raise BadInputError(f"entry {_text(raw)[:200]!r} of the archive has type {flag!r}, which is not supported")
    if kind is Kind.FILE and raw.endswith(b"/"):
        kind = Kind.DIRECTORY  # v7 tar had no type for directories
    path = clean_name(_text(raw), mark=mark)
    link = ""
    if kind is Kind.HARDLINK or kind is Kind.SYMLINK:
        link = _text(overrides.get(b"linkpath", block[157:257].split(b"\0", 1)[0]))
    if kind is Kind.HARDLINK:
        link = clean_name(link, f"the hard link of {path!r} to")
    uid = _decimal(overrides[b"uid"], "uid") if b"uid" in overrides else _number(block[108:116], "uid")
    gid = _decimal(overrides[b"gid"], "gid") if b"gid" in overrides else _number(block[116:124], "gid")
    if not (0 <= uid <= _LARGEST_ID and 0 <= gid <= _LARGEST_ID):
        raise BadInputError(f"entry {path!r} of the archive has an owner that cannot be")
    device = (0, 0)
    if kind in (Kind.CHAR, Kind.BLOCK):
        device = (_number(block[329:337], "device"), _number(block[337:345], "device"))
        if not (0 <= device[0] < 1 << 12 and 0 <= device[1] < 1 << 20):
            raise BadInputError(f"entry {path!r} of the archive is a device that cannot be")
    mtime = _time(overrides[b"mtime"]) if b"mtime" in overrides else (_number(block[136:148], "mtime"), 0)
    return Entry(
        path=path,
        kind=kind,
        mode=_number(block[100:108], "mode") & 0o7777,
        uid=uid,
        gid=gid,
        size=size if kind is Kind.FILE else 0,
        mtime=mtime[0],
        link=link,
        device=device,
        xattrs=_xattrs(overrides) if overrides else (),
        nanoseconds=mtime[1],
    )


def _xattrs(overrides: dict[bytes, bytes]) -> tuple[tuple[str, bytes], ...]:
    prefix = b"SCHILY.xattr."
    found = []
    for key in sorted(overrides):
        name = _text(key.removeprefix(prefix))
        # A mark of overlayfs in a layer would change what other layers show, a record whom its file belongs to.
        if key.startswith(prefix) and not is_overlay_xattr(name) and not is_record(name, overrides[key]):
            found.append((name, overrides[key]))
    return tuple(found)


def _whiteout(entry: Entry) -> Entry:
    if PREFIX not in entry.path:
        return entry
    directory, _, base = entry.path.rpartition("/")
    if not base.startswith(PREFIX):
        return entry
    if base == OPAQUE_NAME:
        return Entry(directory, Kind.OPAQUE)
    name = base.removeprefix(PREFIX)
    if not name or name in (".", ".."):
        raise BadInputError(f"entry {entry.path!r} of the archive is a whiteout of nothing")
    if base.startswith(PREFIX * 2):
        return replace(entry, kind=Kind.WHITEOUT, path="")  # aufs's own marks: mean nothing elsewhere
    return Entry(f"{directory}/{name}" if directory else name, Kind.WHITEOUT)
