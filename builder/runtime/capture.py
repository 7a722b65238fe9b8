"""A sandboxed command with pipes in place of this process's input and output: what it prints is kept for its caller."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import IO, TypeVar

from builder.sandbox.launcher import Call
from builder.threads import each

T = TypeVar("T")


def captured(begin: Callable[[tuple[int, int, int]], Call[T]], given: bytes) -> tuple[T, tuple[bytes, bytes]]:
    """Have `begin` start the command with three pipes; gives what its call does, and what it printed on both outputs.

    It is written what is `given`, as far as it reads it. From any thread: no signal is passed on.
    """
    with ExitStack() as ours, ExitStack() as theirs:
        (stdin, to), (out, stdout), (err, stderr) = (os.pipe2(os.O_CLOEXEC) for _ in range(3))
        sink, *sources = (ours.enter_context(open(fd, mode)) for fd, mode in ((to, "wb"), (out, "rb"), (err, "rb")))
        for fd in (stdin, stdout, stderr):
            theirs.callback(os.close, fd)
        call = begin((stdin, stdout, stderr))
        theirs.close()

        def exchange(file: IO[bytes]) -> bytes:
            if file is not sink:
                return file.read()
            with suppress(BrokenPipeError), sink:
                sink.write(given)
            return b""

        _, said, errors = each(exchange, (sink, *sources), 3, call.cancel)
        return call.result(), (said, errors)
