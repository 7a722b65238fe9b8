"""A step's output: to the watchers line by line, and whole to a file of the store.

<root>/logs/<build>-<vertex>.log     build: start of the process in seconds, and its pid
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from builder.events import Emit, LogLine

_BUILD = f"{int(time.time())}-{os.getpid()}"
_KEPT = 200
# A step that prints without newlines must not fill the memory: longer lines are cut into pieces.
_LONGEST = 64 << 10
_TAIL = 20


class StepLog:
    """Takes the bytes a step prints; use it as a context manager. The file appears with the first byte.

    `path` is the file; None when it could not be written to its end: a full disk fails steps, not their logs.
    """

    def __init__(self, root: Path, vertex: int, emit: Emit) -> None:
        self.path: Path | None = root / "logs" / f"{_BUILD}-{vertex}.log"
        self._vertex, self._emit = vertex, emit
        self._file: IO[bytes] | None = None
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
        if self.path is None:
            return
        try:
            if self._file is None:
                self._file = _opened(self.path)
            self._file.write(data)
        except OSError:
            self.path.unlink(missing_ok=True)
            self.path = None


def _opened(path: Path) -> IO[bytes]:
    """A new log; the oldest make room for it."""
    logs = sorted(path.parent.iterdir(), key=lambda p: p.name)
    for old in logs[:-_KEPT]:
        old.unlink(missing_ok=True)
    return path.open("wb", buffering=0)
