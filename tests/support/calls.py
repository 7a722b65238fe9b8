"""Functions for children of a launcher, which must be importable by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from builder import spans
from builder.errors import BadInputError
from builder.layers.copyjob import ContextSource
from builder.sandbox.child import answer, at_end, let_go, tell_moved


def own_number() -> int:
    """A call as most are: its process ends with it."""
    return os.getpid()


def clear_up(seconds: float = 0.0, mark: str = "") -> None:
    """Answer with the process's number, write `mark` when that long a clearing up is over."""
    os.write(1, b"said")
    answer(os.getpid())
    time.sleep(seconds)
    if mark:
        Path(mark).touch()


def move(count: int, mark: str) -> str:
    """Say so often how far it is, write `mark`, and give a value."""
    for done in range(count):
        tell_moved(done)
    Path(mark).touch()
    return "there"


def leave_a_process() -> None:
    """Answer, and end with a child that still runs."""
    if os.fork() == 0:
        time.sleep(3)
        os._exit(0)
    answer(os.getpid())


def fail_after_answering() -> None:
    """Answer, and then go wrong."""
    answer(os.getpid())
    raise RuntimeError("what was to be cleared up cannot be")


def wait_for_signal() -> int:
    """Wait for a forwarded signal."""
    return signal.sigwaitinfo([signal.SIGTERM]).si_signo


def no_signal_waits() -> bool:
    """Whether nothing was sent before this call."""
    return signal.SIGTERM not in signal.sigpending()


def timed(fails: bool) -> int:
    """Record a span; the process ends with it, or the call as it is asked to."""
    with spans.span("diff"):
        pass
    if fails:
        raise BadInputError("as asked")
    return os.getpid()


def die(log: str) -> None:
    """Write a line, and be killed."""
    with Path(log).open("a") as file:
        file.write("died\n")
    os.kill(os.getpid(), signal.SIGKILL)


def make_ready(log: str) -> None:
    """Make something ready that takes a while to take away."""

    def take_away() -> None:
        time.sleep(0.2)
        with Path(log).open("a") as file:
            file.write(f"{os.getpid()}\n")

    at_end(take_away)


def last(log: str) -> tuple[int, bool]:
    """Be a call that would last; gives its number, and whether what was made ready is taken away by then."""
    let_go()
    return os.getpid(), f"{os.getpid()}\n" in Path(log).read_text()


class Unsent:
    """What cannot be pickled."""

    content = "here"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("it is not to be sent")


def content_of(value: Unsent) -> str:
    return value.content


def name_of(source: ContextSource) -> str:
    return source.name
