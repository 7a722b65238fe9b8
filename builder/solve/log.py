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
from builder.store.blobs import store_errors

_BUILD = f"{int(time.time())}-{os.getpid()}"
_KEPT = 200
# A step that prints without newlines must not fill the memory: longer lines are cut into pieces.
_LONGEST = 64 << 10
_TAIL = 20


class StepLog:
    """Takes the bytes a step prints; use it as a context manager. The file appears with the first byte."""

    def __init__(self, root: Path, vertex: int, emit: Emit) -> None:
        self.path = root / "logs" / f"{_BUILD}-{vertex}.log"
        self._root, self._vertex, self._emit = root, vertex, emit
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
        with store_errors(self._root):
            if self._file is None:
                self._file = self._open()
            self._file.write(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        while len(self._rest) > _LONGEST:
            self._line(self._rest[:_LONGEST])
            self._rest = self._rest[_LONGEST:]

    def tail(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._last)

    def _line(self, raw: bytes) -> None:
        text = raw.rstrip(b"\r").decode(errors="backslashreplace")
        self._last.append(text)
        self._emit(LogLine(self._vertex, text, time.time()))

    def _open(self) -> IO[bytes]:
        logs = sorted(self.path.parent.iterdir(), key=lambda p: p.name)
        for old in logs[:-_KEPT]:
            old.unlink(missing_ok=True)
        return self.path.open("wb", buffering=0)
