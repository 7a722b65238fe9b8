"""A program in a terminal of a given size, and what one sees there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

_PATIENCE_SECONDS = 30.0


class Terminal:
    """What a program writes drawn on a screen, and keys for it."""

    def __init__(self, master: int, process: subprocess.Popen[bytes], columns: int, rows: int) -> None:
        self._master, self.process = master, process
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def lines(self) -> list[str]:
        """The rows of the screen, without blanks at their ends."""
        return [line.rstrip() for line in self._screen.display]

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """The rows once they are as `seen` says."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not seen(self.lines):
            assert (time.monotonic() < end and self._read()) or seen(self.lines), "\n".join(self.lines)
        return self.lines

    def _read(self) -> bool:
        """Draw what there is to read, waiting a moment for it; whether there may be more."""
        if select.select([self._master], [], [], 0.1)[0]:
            try:
                self._stream.feed(os.read(self._master, 1 << 16))
            except OSError:  # it has ended (pty(7): EIO)
                return False
        return True

    def shows(self, text: str) -> list[str]:
        """The rows once `text` is in one."""
        return self.until(lambda lines: any(text in line for line in lines))

    def ended(self) -> int:
        """The exit status; what is still written meanwhile is drawn."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while self._read():
            assert time.monotonic() < end, "\n".join(self.lines)
        return self.process.wait(_PATIENCE_SECONDS)


@contextmanager
def terminal(command: Sequence[str], work: Path, columns: int = 80, rows: int = 24) -> Iterator[Terminal]:
    """`command` in a terminal of this size; it is killed in the end, if it still runs."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    size = {"COLUMNS": str(columns), "LINES": str(rows), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command,
        cwd=work,
        env={**os.environ, **size},
        preexec_fn=lambda: os.login_tty(slave),  # so that it is told when the terminal goes
    )
    os.close(slave)
    try:
        yield Terminal(master, process, columns, rows)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
