"""A step's output: to the watchers line by line, and to a file of the store, the middle cut out when it is too much."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from builder.events import Emit, LogLine
from builder.solve.journal import make_room

# A step that prints without newlines must not fill the memory: longer lines are cut into pieces.
_LONGEST = 64 << 10
_TAIL = 20
# A file has at most so many bytes of a step's first, and of its last.
HEAD, END = 15 << 20, 1 << 20


class StepLog:
    """Takes the bytes a step prints; use it as a context manager. The file `path` appears with the first byte.

    `path` becomes None when it could not be written to its end: a full disk fails steps, not their logs.
    """

    def __init__(self, path: Path, vertex: int, emit: Emit) -> None:
        self.path: Path | None = path
        self._vertex, self._emit = vertex, emit
        self._file: IO[bytes] | None = None
        self._written = self._skipped = self._ending = 0
        self._end: deque[bytes] = deque()
        self._rest = b""
        self._last: deque[str] = deque(maxlen=_TAIL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rest:
            self._line(self._rest)
            self._rest = b""
        if self._file is not None:
            note = f"\n[pybuild: {self._skipped} bytes are left out here]\n".encode() if self._skipped else b""
            self._append(note + b"".join(self._end))
            self._file.close()

    def write(self, data: bytes) -> None:
        """Take a piece of output, as it came."""
        self._keep(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        while len(self._rest) > _LONGEST:
            self._line(self._rest[:_LONGEST])
            self._rest = self._rest[_LONGEST:]

    def note(self, text: str) -> None:
        """Add a line of pybuild's own to what the step printed."""
        self.write((b"\n" if self._rest else b"") + f"pybuild: {text}\n".encode(errors="backslashreplace"))

    def tail(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._last)

    def _line(self, raw: bytes) -> None:
        text = raw.rstrip(b"\r").decode(errors="backslashreplace")
        self._last.append(text)
        self._emit(LogLine(self._vertex, text, time.time()))

    def _keep(self, data: bytes) -> None:
        head, rest = data[: HEAD - self._written], data[HEAD - self._written :]
        if head:
            self._append(head)
            self._written += len(head)
        if not rest:
            return
        self._end.append(rest)
        self._ending += len(rest)
        while self._ending > END:
            more = self._ending - END
            first = self._end.popleft()
            if len(first) > more:
                self._end.appendleft(first[more:])
            gone = min(more, len(first))
            self._ending -= gone
            self._skipped += gone

    def _append(self, data: bytes) -> None:
        if self.path is None or not data:
            return
        try:
            if self._file is None:
                make_room(self.path.parent)
                self._file = self.path.open("wb", buffering=0)
            self._file.write(data)
        except OSError:
            self.path.unlink(missing_ok=True)
            self.path = None
