"""A window of a terminal that a test writes to itself: what would be seen in it."""

from __future__ import annotations

import os
import termios
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import pyte

_PATIENCE = 10.0


class Window:
    """A pseudo-terminal of `columns` and `lines`, and its screen; a program writes to `slave`."""

    def __init__(self, columns: int, lines: int) -> None:
        self.master, self.slave = os.openpty()
        self._lock, self._ended = threading.Lock(), False
        # All that was written.
        self.written = b""
        self._screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self.resize(columns, lines)
        # Else whoever writes much would wait for a test that waits for him.
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size; what is on the screen stays where it is."""
        with self._lock:
            termios.tcsetwinsize(self.slave, (lines, columns))
            self._screen.resize(lines, columns)

    def hang_up(self) -> None:
        """Have the window closed: whatever is written now fails."""
        if self.master < 0:
            return
        # What the reader waits in ends once nobody has the other side; a program may have it still.
        self._ended = True
        os.write(self.slave, b"\0")
        self._reader.join(_PATIENCE)
        os.close(self.master)
        os.close(self.slave)
        self.master = -1

    def _read(self) -> None:
        while not self._ended:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:
                return
            with self._lock:
                self.written += data
                self._stream.feed(data)

    def rows(self) -> list[str]:
        """What can be seen, without the empty rows below."""
        with self._lock:
            rows = [row.rstrip() for row in self._screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def text(self) -> str:
        """The same as one text."""
        return "".join(f"{row}\n" for row in self.rows())

    def cursor_hidden(self) -> bool:
        """Whether there is no cursor to be seen."""
        with self._lock:
            return bool(self._screen.cursor.hidden)

    def until(self, seen: Callable[[str], bool]) -> str:
        """Wait until what can be seen is as it should be; gives it, or what there is in the end."""
        deadline = time.monotonic() + _PATIENCE
        while not seen(self.text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.text()
