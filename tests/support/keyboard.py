"""A program on a terminal, typed to."""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import PATIENCE

# What moves cursors and rings bells
_STEERING = re.compile(r"\x07|\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


class Typed:
    """Runs `argv` on a terminal of its own, 80 columns wide; use it as a context manager."""

    def __init__(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], columns: int = 80) -> None:
        self.seen = ""
        self._pid, self._fd = pty.fork()
        if not self._pid:
            try:
                os.chdir(cwd)
                os.execvpe(argv[0], list(argv), {**os.environ, **env})
            finally:
                os._exit(127)
        ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)  # which is a hang-up for it
        os.waitpid(self._pid, 0)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait_for(self, pattern: str) -> str:
        """Read until `pattern` has come; gives all that came since the last time, but for what steers the terminal."""
        deadline = time.monotonic() + PATIENCE
        while re.search(pattern, self.seen) is None:
            assert time.monotonic() < deadline, f"{pattern!r} never came: {self.seen!r}"
            if select.select([self._fd], [], [], 0.1)[0]:
                text = os.read(self._fd, 1 << 16).decode(errors="replace")
                self.seen += _STEERING.sub("", text)
        found, self.seen = self.seen, ""
        return found
