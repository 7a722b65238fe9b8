"""zstd in frames (RFC 8878, 3.1): cut so that cores share the work, and an edit changes the frames around it alone.

    a tar         | a | b | c | d … | a long file: beginning | middle | end | e | f …
    its frames    └─── 0 ───┘└──── 1 ─────┘└─────── 2 ──────┘└─────── 3 ───────┘└─ 4 …

Where a frame ends is told by the bytes of the tar alone: between two entries by chance of the name of the second, and
after MOST bytes in any case. So the same tar is the same blob on every machine, however many cores it has and in
whatever pieces it came. What is no tar is cut every MOST bytes. Why: docs/decisions, "frames".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from zlib import crc32

from msgspec import Struct

from builder.digest import Writer
from builder.threads import InTurn

# Most bytes of a frame: what is held of it in memory for each core.
MOST = 4 << 20
# A frame has at least so many bytes before another begins by chance, and _USUAL more on average: zstd finds nothing
# again that lies in another frame, so short ones cost (1 MiB: 15 % of a blob, measured on parts of a program).
_LEAST, _USUAL = 2 << 20, 1 << 20
_MOST_THREADS = 4
_BLOCK = 512
# Headers that tell of the next entry: pax (POSIX.1-2017, "pax Interchange Format") and GNU tar's long names.
_BEFORE_ANOTHER = b"xgLK"
_HAVE_DATA = b"0\x007" + _BEFORE_ANOTHER


class Frame(Struct, frozen=True, array_like=True, gc=False):
    """A frame of a blob: bytes of the tar, bytes of the blob, and where in it the first header is.

    `first` is None where a frame begins in the midst of headers, or behind what is no tar: it is like no other then.
    """

    plain: int
    packed: int
    first: int | None


class Frames:
    """Compresses what is written to it, and writes the frames to `sink`, in order. Not for threads to share.

    `made` are the frames that were written.
    """

    def __init__(self, sink: Writer, level: int) -> None:
        self._sink, self._level = sink, level
        self._cut = Cut()
        self._others: InTurn[bytes | _Packed, bytes] | None = None
        self._begun: list[tuple[int, int | None]] = []
        self.made: list[Frame] = []

    def write(self, data: bytes) -> None:
        """Take all of `data`. Raises what the sink does; then nothing more can be written."""
        with self._stopping():
            for first, frame in self._cut.taken(data):
                self._put(frame, len(frame), first)

    def write_frame(self, data: bytes, packed: bytes, first: int, after: int | None) -> None:
        """As `write(data)`, which is a frame of another blob whose compressed bytes are `packed`.

        There its first header was at `first`, and the first header after it `after` bytes behind its end: so it is a
        frame here too if one begins with it, and the header behind it is the same.
        """
        shown = 0
        if self._cut.holds:
            # Whether what came before ends here is told by the entry that comes next.
            shown = min(first, len(data))
            self.write(data[:shown])
        if not self._cut.skipped(shown, first, after):
            self.write(data[shown:])
            return
        with self._stopping():
            self._put(_Packed(packed), len(data), first)

    def finish(self) -> None:
        """Compress and write what is left; an empty tar is an empty frame."""
        first, rest = self._cut.rest()
        if self._others is None:
            self._begun.append((len(rest), first))
            self._written(_compressor(self._level)(rest))
            return
        with self._stopping():
            if rest:
                self._put(rest, len(rest), first)
            for done in self._others.end():
                self._written(done)

    def _put(self, frame: bytes | _Packed, size: int, first: int | None) -> None:
        if self._others is None:
            threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)))
            self._others = InTurn(lambda: _packer(self._level), threads)
        self._begun.append((size, first))
        for done in self._others.put(frame):
            self._written(done)

    def _written(self, done: bytes) -> None:
        self._sink.write(done)
        size, first = self._begun[len(self.made)]
        self.made.append(Frame(size, len(done), first))

    def __del__(self) -> None:
        if self._others is not None:
            self._others.stop()

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if self._others is not None:
                self._others.stop()
            raise


class Cut:
    """Finds out where a tar is cut, as its bytes come."""

    def __init__(self) -> None:
        self._held = bytearray()
        # Where in it the next header is, None when there is none to come, and where its entry has begun.
        self._next: int | None = 0
        self._start = 0

        self._first: int | None = 0

    def taken(self, data: bytes) -> list[tuple[int | None, bytes]]:
        """The frames that are complete with `data`, each with where its first header is."""
        self._held += data
        frames = []
        while (end := self._end()) is not None:
            with memoryview(self._held) as view:
                frames.append((self._first, bytes(view[:end])))
            del self._held[:end]
            # What tells of an entry may lie in two frames: then where the second one ends is not told by itself.
            inside = self._start != self._next
            self._start = max(0, self._start - end)
            if self._next is not None:
                self._next -= end
            self._first = None if inside else self._next
        return frames

    @property
    def holds(self) -> bool:
        """Whether a frame has begun."""
        return bool(self._held)

    def skipped(self, shown: int, first: int, after: int | None) -> bool:
        """Whether a frame begins `shown` bytes before here, its first header at `first`: then it is passed over.

        Behind it the first header is after `after` bytes. More than up to the first header must not have been shown.
        """
        if len(self._held) != shown or self._first != first or after is None:
            return False
        self._held.clear()
        self._first = self._next = self._start = after
        return True

    def rest(self) -> tuple[int | None, bytes]:
        """What is in no complete frame, as taken gives it."""
        return self._first, bytes(self._held)

    def _end(self) -> int | None:
        """Where the frame that has begun ends, None as long as that cannot be told."""
        held = self._held
        while self._next is not None and self._next + _BLOCK <= min(MOST, len(held)):
            at, start = self._next, self._start
            size = _data_size(held, at)
            if size is None:
                self._next = None
                break
            self._next = at + _BLOCK + size
            if held[at + 156] in _BEFORE_ANOTHER:
                continue
            self._start = self._next
            if start >= _LEAST and _begins(held, start, self._next - start):
                return start
        return MOST if len(held) >= MOST else None


def _begins(held: bytearray, start: int, length: int) -> bool:
    """Whether a frame begins before the entry at `start`: by its name, the likelier the longer it is."""
    name = crc32(held[start + 345 : start + 500], crc32(held[start : start + 100]))
    return name * _USUAL < length << 32


def _data_size(held: bytearray, at: int) -> int | None:
    """How many bytes of data and padding come after the header at `at`; None for what is no header."""
    field = held[at + 124 : at + 136]
    if not held[at] or field[0] & 0x80:
        return None  # the end, or a length that no layer of ours has in this form
    if held[at + 156] not in _HAVE_DATA:
        return 0
    try:
        size = int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        return None
    return size + -size % _BLOCK


class _Packed(Struct, frozen=True):
    """What is a frame already."""

    data: bytes


def _packer(level: int) -> Callable[[bytes | _Packed], bytes]:
    compress = _compressor(level)
    return lambda frame: frame.data if isinstance(frame, _Packed) else compress(frame)


def _compressor(level: int) -> Callable[[bytes], bytes]:
    # lazy: 8 ms, only when a layer is written
    import zstandard

    return zstandard.ZstdCompressor(level=level).compress
