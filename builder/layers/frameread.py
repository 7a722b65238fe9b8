"""The frames of a blob (frames.py), read in order, packed and plain, and at the end whether it is that blob."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence

from builder.digest import Digest
from builder.errors import BadInputError
from builder.layers.compress import unpacked
from builder.layers.frames import Frame
from builder.threads import InTurn

_THREADS = 2


class DamagedBlobError(Exception):
    """That a blob is not what its digest says; it can be done without."""


class FrameReader:
    """Reads the blob `digest`, open at `fd`, which has these frames. A context: the threads end with it."""

    def __init__(self, fd: int, digest: Digest, frames: Sequence[Frame]) -> None:
        self._fd, self._digest, self._frames = fd, digest, frames
        self._hash = hashlib.sha256()
        self._turns: InTurn[tuple[bytes, int], tuple[bytes, bytes]] = InTurn(_unpacker, _THREADS)
        self._coming = self._all()
        # The frame that was read last, from where to where in the tar it is.
        self.number, self.begin, self.end = -1, 0, 0
        self.packed = self.plain = b""

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._turns.stop()

    def go_to(self, position: int) -> None:
        """Read on to the frame in which `position` of the tar is. Raises DamagedBlobError for what is no such frame."""
        while self.end <= position:
            self._read()

    def first(self) -> int | None:
        """Where the first header of the frame is, see Frame."""
        return self._frames[self.number].first

    def after(self) -> int | None:
        """Where that of the next frame is."""
        return self._frames[self.number + 1].first if self.number + 1 < len(self._frames) else None

    def finish(self) -> None:
        """Raises DamagedBlobError unless all that was read is of the blob."""
        while self.number + 1 < len(self._frames):
            self._read()
        if os.read(self._fd, 1) or Digest(self._hash.hexdigest()) != self._digest:
            raise DamagedBlobError

    def _read(self) -> None:
        try:
            found = next(self._coming, None)
        except BadInputError as error:
            raise DamagedBlobError from error
        if found is None:
            raise DamagedBlobError
        self.packed, self.plain = found
        self.number += 1
        self.begin, self.end = self.end, self.end + len(self.plain)

    def _all(self) -> Iterator[tuple[bytes, bytes]]:
        for frame in self._frames:
            packed = os.read(self._fd, frame.packed)
            self._hash.update(packed)
            yield from self._turns.put((packed, frame.plain))
        yield from self._turns.end()


def _unpacker() -> Callable[[tuple[bytes, int]], tuple[bytes, bytes]]:
    return lambda frame: (frame[0], unpacked(*frame))
