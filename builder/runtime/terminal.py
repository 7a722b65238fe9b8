"""The user's terminal in the hands of a container: raw mode, window size, and the pump between the two."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import struct
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from builder.sandbox.launcher import Call

_WINSIZE = struct.Struct("HHHH")


@contextmanager
def raw(fd: int | None) -> Iterator[None]:
    """The terminal `fd` passes every key on, and is as before afterwards. Nothing happens when it is none."""
    if fd is None or not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSADRAIN)  # what was typed ahead is for the container
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def follow_size(source: int, target: int) -> None:
    """Give terminal `target` the window size of `source`, now and whenever it changes."""
    if not os.isatty(source):
        return

    def copy(*_: object) -> None:
        with suppress(OSError):
            size = fcntl.ioctl(source, termios.TIOCGWINSZ, _WINSIZE.pack(0, 0, 0, 0))
            fcntl.ioctl(target, termios.TIOCSWINSZ, size)

    copy()
    signal.signal(signal.SIGWINCH, copy)


def pump(main: int, keys: int | None, screen: int, call: Call[Any]) -> None:
    """Copy what the container prints to `screen` and, where given, `keys` to the container, until it or `call` ends."""
    sources: list[int | Call[Any]] = [main, call] if keys is None else [main, call, keys]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if call in ready and call.ended():
            # What the command has left running may keep the terminal; what was printed so far is shown.
            ready, _, _ = select.select([main], [], [], 0)
            if not ready:
                return
        if main in ready:
            try:
                data = os.read(main, 64 << 10)
            except OSError as error:
                if error.errno != errno.EIO:  # all ends of the pty on the other side are closed
                    raise
                return
            if not data:
                return
            _write(screen, data)
        if keys is not None and keys in ready:
            data = os.read(keys, 64 << 10)
            if data:
                _write(main, data)
            else:
                _write(main, b"\x04")  # end of input, as a terminal says it
                sources.remove(keys)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
