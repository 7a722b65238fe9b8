"""Several layers → one that shows the same on whatever lies below them.

The layers are read from the topmost down, each once: what one hides of those below it is known when they are read.
Data is kept in a spool until all is known, so that the layer is written in the order in which all layers are. A
deletion stays if something below has what it deletes; so it is with directories that hide what lies below.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import IO

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Reader, Writer
from builder.errors import BadInputError
from builder.layers.entry import Entry, Kind
from builder.layers.tarread import Data, read_entries
from builder.layers.tarwrite import WrittenLayer, copy_layer

_CHUNK = 1 << 20
# As extraction makes directories that no entry names.
_IMPLIED_MODE = 0o755


class _Node(Struct, eq=False):
    """A file, one for all its names in a layer; its data begins at `offset` of the spool."""

    entry: Entry
    offset: int = 0


def squash(
    layers: Iterable[Reader], below: Iterable[Reader], spool: IO[bytes], sink: Writer, compression: str
) -> WrittenLayer:
    """Write to `sink` the layer that shows what `layers` show on `below`.

    Both are plain tars, the topmost first. `spool` is an empty file. Raises BadInputError for a layer in which entries
    go through links.
    """
    merging = _Merging(spool)
    for tar in layers:
        merging.add(tar)
    merged = merging.merged
    needed = _there(merged.deletions(), below)
    spool.flush()
    return copy_layer(merged.entries(needed, spool.fileno()), sink, compression)


class _Merged:
    """What the layers read so far show: by path, each file, and in `opaque` the directories that hide those below."""

    def __init__(self) -> None:
        self.shown: dict[str, _Node] = {}
        self.opaque: set[str] = set()
        # Below these nothing of a further layer shows.
        self.closed: set[str] = set()
        # Directories that no entry names, above what is shown.
        self.implied: set[str] = set()

    def hides(self, path: str) -> bool:
        """Whether something above `path` hides it from here on down."""
        return any(above in self.closed for above in above_of(path))

    def deletions(self) -> set[str]:
        """The paths that are deleted, or emptied, if there is something below."""
        return self.opaque | {path for path, node in self.shown.items() if node.entry.kind is Kind.WHITEOUT}

    def entries(self, needed: set[str], spool: int) -> Iterator[tuple[Entry, Reader]]:
        """The entries with their data, in the order of a layer, deletions only of what is `needed`."""
        opaque = [(path, _Node(Entry(path, Kind.OPAQUE))) for path in self.opaque & needed]
        first: dict[int, str] = {}
        everything = [*self.shown.items(), *opaque]
        for path, node in sorted(everything, key=lambda item: (_order(item[0]), item[1].entry.kind is Kind.OPAQUE)):
            entry = replace(node.entry, path=path)
            if entry.kind is Kind.WHITEOUT and path not in needed:
                continue
            name = path if entry.kind in (Kind.DIRECTORY, Kind.OPAQUE) else first.setdefault(id(node), path)
            if name != path:
                entry = replace(entry, kind=Kind.HARDLINK, link=name, size=0)
            yield entry, _Piece(spool, node.offset, entry.size)


class _Merging:
    """Lays one layer after the other under those before it."""

    def __init__(self, spool: IO[bytes]) -> None:
        self.merged = _Merged()
        self._spool = spool
        self._at = 0

    def add(self, tar: Reader) -> None:
        """Read a layer to its end."""
        layer, opaque = self._layer(tar)
        merged, closing = self.merged, set(opaque)
        for path, node in layer.items():
            if merged.hides(path):
                continue
            kind = node.entry.kind
            over = merged.shown.get(path)
            if over is not None and over.entry.kind is not Kind.DIRECTORY:
                continue
            if over is None and path in merged.implied and kind is not Kind.DIRECTORY:
                over = merged.shown[path] = _Node(Entry(path, Kind.DIRECTORY, _IMPLIED_MODE))
            if kind is not Kind.DIRECTORY:
                closing.add(path)
            if over is None:
                merged.shown[path] = node
                _imply(merged, path)
            elif kind is not Kind.DIRECTORY:
                merged.opaque.add(path)  # it has taken the place of something, whatever lies below that
        merged.opaque |= {path for path in opaque if not merged.hides(path) and _is_directory(merged, path)}
        merged.closed |= closing

    def _layer(self, tar: Reader) -> tuple[dict[str, _Node], set[str]]:
        """What unpacking a layer makes, as extract.py does it, and the directories that are opaque in it."""
        found: dict[str, _Node] = {}
        opaque: set[str] = set()
        for entry, data in read_entries(tar):
            path = entry.path
            if entry.kind is Kind.WHITEOUT and not path:
                continue  # aufs's own marks
            for above in above_of(path):
                if above in found and found[above].entry.kind is not Kind.DIRECTORY:
                    raise BadInputError(f"a layer cannot be merged: its entry {path!r} goes through {above!r}")
            if entry.kind is Kind.OPAQUE:
                opaque.add(path)
                continue
            before = found.get(path)
            if before is not None and {before.entry.kind, entry.kind} != {Kind.DIRECTORY}:
                _clear(found, opaque, path)
            if entry.kind is Kind.HARDLINK:
                found[path] = self._linked(found, entry)
            else:
                found[path] = _Node(entry, self._kept(data))
        return found, opaque

    def _linked(self, found: dict[str, _Node], entry: Entry) -> _Node:
        try:
            return found[entry.link]
        except KeyError:
            raise BadInputError(f"a layer cannot be merged: {entry.path!r} is a link to {entry.link!r}") from None

    def _kept(self, data: Data) -> int:
        begin = self._at
        while piece := data.read(_CHUNK):
            self._spool.write(piece)
            self._at += len(piece)
        return begin


class _Piece:
    """Some bytes of a file, wherever it stands."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd, self._offset, self._left = fd, offset, size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = os.pread(self._fd, wanted, self._offset) if wanted else b""
        self._offset += len(data)
        self._left -= len(data)
        return data


def above_of(path: str) -> Iterator[str]:
    """The directories above `path`, the nearest first, the root last."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def _order(path: str) -> list[bytes]:
    return os.fsencode(path).split(b"/") if path else []


def _is_directory(merged: _Merged, path: str) -> bool:
    node = merged.shown.get(path)
    return not path or path in merged.implied if node is None else node.entry.kind is Kind.DIRECTORY


def _imply(merged: _Merged, path: str) -> None:
    merged.implied.discard(path)
    for above in above_of(path):
        if not above or above in merged.shown or above in merged.implied:
            break
        merged.implied.add(above)


def _clear(found: dict[str, _Node], opaque: set[str], path: str) -> None:
    """Something of another kind takes the place of `path` and of all that is in it."""
    if found[path].entry.kind is Kind.DIRECTORY:
        for name in [name for name in found if name.startswith(f"{path}/")]:
            del found[name]
        opaque -= {name for name in opaque if f"{name}/".startswith(f"{path}/")}
    del found[path]


# --- what lies below -----------------------------------------------------------------------------


def _there(asked: set[str], layers: Iterable[Reader]) -> set[str]:
    """Those of the paths `asked` that `layers`, the topmost first, show."""
    found: set[str] = set()
    open_ = set(asked)
    for tar in layers:
        if not open_:
            break
        here, closing = _named(tar, open_)
        found |= here
        open_ = {p for p in open_ - here if p not in closing and not any(above in closing for above in above_of(p))}
    return found


def _named(tar: Reader, asked: set[str]) -> tuple[set[str], set[str]]:
    """Those of the paths `asked` that a layer has, and the paths below which it hides what lies deeper."""
    above_asked = {above for path in asked for above in (path, *above_of(path))}
    here: set[str] = set()
    closing: set[str] = set()
    for entry, _ in read_entries(tar):
        path = entry.path
        if entry.kind is Kind.WHITEOUT and not path:
            continue
        if entry.kind is not Kind.DIRECTORY and path in above_asked:
            closing.add(path)
        if entry.kind is Kind.WHITEOUT:
            path = path.rpartition("/")[0]
        here.update(name for name in (path, *above_of(path)) if name in asked)
    return here, closing
