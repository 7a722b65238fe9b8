"""A planned copy done: each file is read once, and goes into the layer's tar and into its snapshot.

    plan ──▶ this thread reads and checks ──┬──▶ LayerTar: hash, compress (threads beside)
                                            └──▶ TreeWriter: the snapshot

The snapshot's files are made in the thread that reads: two that both call the kernel for each file wait for Python's
lock most of the time (20,000 files: 1.5 s, and 2.5 of processor time, where one thread takes 1.2 and 1.6).

What is in both is the same, whatever becomes of the file meanwhile; and it is what the key says, or the copy fails.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest, Writer
from builder.layers.copybefore import Stretch
from builder.layers.copyjob import ContextEntry
from builder.layers.copyplan import Item
from builder.layers.copysource import changed, opened, unchanged
from builder.layers.copytarget import Source
from builder.layers.entry import Entry, Kind
from builder.layers.frameread import FrameReader
from builder.layers.frames import Frame
from builder.layers.tarwrite import LayerTar, WrittenLayer, header
from builder.layers.treewrite import Piece, TreeWriter
from builder.points import point

# A file of at most so many bytes is read at once, and longer ones in pieces of so many.
_PIECE = 1 << 20


class Copied(Struct, frozen=True):
    """The layer of a copy; where in its tar each entry begins, and the last one ends; the frames of its blob."""

    written: WrittenLayer
    begins: tuple[int, ...]
    frames: tuple[Frame, ...]


def write_planned(items: Sequence[Item], directory: str, sink: Writer, compression: str) -> Copied:
    """Make `items` in the empty `directory`, and write their layer to `sink`.

    Raises BadInputError for a file that is no longer what its key says, and what the file system does.
    """
    with _Pass(directory, sink, compression) as both:
        for item in items:
            both.put(item)
        return both.finish()


def write_again(
    steps: Sequence[Stretch | Item],
    before: FrameReader,
    directory: str,
    sink: Writer,
    compression: str,
    *,
    whole: bool = False,
) -> Copied:
    """As write_planned, with what has not changed taken from the blob that `before` reads.

    Only what is in no stretch is made in `directory`, with the directories it is in; with `whole` all of it, files of
    stretches from the blob. Raises DamagedBlobError, too: then what was made is not what it should be.
    """
    with _Pass(directory, sink, compression) as both:
        for step in steps:
            if isinstance(step, Item):
                both.put(step)
            else:
                both.take(step, before, whole=whole)
        before.finish()
        return both.finish()


class _Pass:
    """What is read goes into both; a context."""

    def __init__(self, directory: str, sink: Writer, compression: str) -> None:
        self._opened = ExitStack()
        self._tar = LayerTar(sink, compression)
        self._directory = directory
        self._begins: list[int] = []
        # Directories that were taken, and are made when something that is put lies in them.
        self._taken: dict[str, Entry] = {}

    def __enter__(self) -> _Pass:
        self._opened.enter_context(self._tar)
        self._tree = self._opened.enter_context(TreeWriter(self._directory))
        self._make = self._tar.now.metered("copy", self._tree.put)
        return self

    def __exit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)

    def put(self, item: Item) -> None:
        """Read an item."""
        if self._taken:
            self._make_parents(posixpath.dirname(item.entry.path))
        self._begins.append(self._tar.size)
        self._tar.note((_Reading(item.entry, self._tar, self._make).done(item.source),))

    def take(self, stretch: Stretch, before: FrameReader, *, whole: bool) -> None:
        """Take a stretch of an earlier tar: frames that lie in it as they are, with what comes behind them."""
        moved = self._tar.size - stretch.begin
        self._begins += [begin + moved for begin in stretch.begins]
        files = _Unpacked(stretch, self._make) if whole else None
        if not whole:
            self._taken |= {entry.path: entry for entry in stretch.entries if entry.kind is Kind.DIRECTORY}
        at, noted = stretch.begin, 0
        while at < stretch.end:
            before.go_to(at)
            first, end = before.first(), min(before.end, stretch.end)
            # A frame may end where it does because of what comes next: that must be as it was, too.
            if at == before.begin and before.end < stretch.end and first is not None:
                self._tar.add_frame(before.plain, before.packed, first, before.after())
            else:
                self._tar.add(before.plain[at - before.begin : end - before.begin])
            if files is not None:
                files.add(before.plain[at - before.begin : end - before.begin])
            at = end
            # A part with each frame, while what is beside this thread has something to do.
            reached = bisect_left(stretch.begins, at, noted)
            self._tar.note(stretch.entries[noted:reached])
            noted = reached

    def _make_parents(self, path: str) -> None:
        if path in self._taken:
            self._make_parents(posixpath.dirname(path))
            self._make(Piece(self._taken.pop(path)))

    def finish(self) -> Copied:
        """The end of both."""
        end = self._tar.size
        written = self._tar.finish()
        self._tree.finish()
        return Copied(written, (*self._begins, end), self._tar.frames)


class _Unpacked:
    """The entries of a stretch, made of its bytes as they come."""

    def __init__(self, stretch: Stretch, make: Callable[[Piece], None]) -> None:
        self._left = iter(zip(stretch.entries, (*stretch.begins[1:], stretch.end), strict=True))
        self._next = next(self._left, None)
        self._make = make
        # What of the tar was not used yet, and where in it that begins.
        self._held, self._begin = bytearray(), stretch.begin

    def add(self, data: bytes) -> None:
        """More of the tar: all entries are made that end in it."""
        self._held += data
        used = 0
        while self._next is not None and (after := self._next[1] - self._begin) <= len(self._held):
            entry, used = self._next[0], after
            # A file's content is the last of its bytes, but for what fills its block.
            first = used - entry.size - -entry.size % 512
            with memoryview(self._held) as held:
                self._make(Piece(entry, bytes(held[first : first + entry.size])))
            self._next = next(self._left, None)
        self._begin += used
        del self._held[:used]


class _Reading:
    """One entry on its way into both."""

    def __init__(self, entry: Entry, tar: LayerTar, make: Callable[[Piece], None]) -> None:
        self._entry, self._tar, self._make = entry, tar, make

    def done(self, source: Source | None) -> Entry:
        """The entry with what was found in the file."""
        if source is None:
            self._tar.add(header(self._entry, exact=False))
            self._make(Piece(self._entry))
            return self._entry
        if source.entry is None:
            return self._whole(source.content, Digest.of(source.content))
        return self._read(source.entry, source.path)

    def _whole(self, data: bytes, digest: Digest) -> Entry:
        written = self._entry
        if (written.size, written.digest) != (len(data), digest):
            written = replace(written, size=len(data), digest=digest)
        self._tar.add(b"%b%b%b" % (header(written, exact=False), data, bytes(-len(data) % 512)))
        self._make(Piece(self._entry, data))
        return written

    def _read(self, entry: ContextEntry, path: str) -> Entry:
        fd = opened(entry, path)
        try:
            state = entry.fixed and entry.fixed.state
            size = state[2] if state else os.fstat(fd).st_size
            if size > _PIECE:
                return self._long(entry, fd, size)
            data = _exactly(fd, size + 1)
            point("copy:copied")
            return self._whole(data, _digest(entry, fd, data))
        finally:
            os.close(fd)

    def _long(self, entry: ContextEntry, fd: int, size: int) -> Entry:
        """A file that is read in pieces. It is hashed on the way, unless its content is known."""
        fixed = entry.fixed
        known = fixed is not None and unchanged(fixed, fd)
        state = hashlib.sha256()
        written = replace(self._entry, size=size)
        self._tar.add(header(written, exact=False))
        begins: Entry | None = self._entry
        for left in range(size, 0, -_PIECE):
            data = _exactly(fd, min(left, _PIECE))
            if len(data) < min(left, _PIECE):
                raise changed(entry)
            if not known:
                state.update(data)
            self._tar.add(data)
            self._make(Piece(begins, data, more=True))
            begins = None
        self._tar.add(bytes(-size % 512))
        point("copy:copied")
        digest = fixed.digest if known and fixed is not None else Digest(state.hexdigest())
        if fixed is not None and digest != fixed.digest:
            raise changed(entry)
        # What was known may have changed on the way: then what was written tells.
        sure = not known or fixed is None or unchanged(fixed, fd)
        self._make(Piece(check=None if sure else entry))
        return replace(written, digest=digest)


def _digest(entry: ContextEntry, fd: int, data: bytes) -> Digest:
    """The digest of `data`, which was read from `fd`; computed where it is not known. Raises BadInputError."""
    fixed = entry.fixed
    if fixed is not None and fixed.digest is not None and unchanged(fixed, fd):
        return fixed.digest
    digest = Digest.of(data)
    if fixed is not None and digest != fixed.digest:
        raise changed(entry)
    return digest


def _exactly(fd: int, size: int) -> bytes:
    """So many bytes, fewer at the end of the file."""
    data = os.read(fd, size)
    while len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data
