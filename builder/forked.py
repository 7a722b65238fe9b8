"""The same work on several things at once, by children forked for it: where threads would take turns in Python.

Only while the process has one thread (docs/decisions/0003): a child of several may hang on what another held.

What is large and does not change can be offered: a child that is forked later has it, and it need not be sent.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")

_offered: WeakValueDictionary[int, object] = WeakValueDictionary()


def offer(value: object) -> None:
    """Have `value`, which never changes, told by a number to processes that are forked while it is there."""
    _offered[id(value)] = value


def offered() -> dict[int, object]:
    """What is there of that, by number. A number stays that value's as long as somebody holds this."""
    return dict(_offered)


def each(work: Callable[[T], bytes], items: Sequence[T]) -> list[bytes]:
    """What `work` gives for each item, in their order: of the first here, of each other in a child.

    What a child fails at, and all that no child can be made for, is done here: so that it raises here, if it does.
    Children are gone when this returns or raises.
    """
    # lazy: a build that is known forks nothing, and threading takes longer than all it does
    import threading

    children: list[_Child] = []
    try:
        if threading.active_count() == 1:
            with suppress(OSError):  # no room for one more
                for item in items[1:]:
                    children.append(_Child(work, item))  # noqa: PERF401 those there are must be known
        done = [work(item) for item in items[:1]]
        for number, item in enumerate(items[1:]):
            found = children[number].result() if number < len(children) else None
            done.append(work(item) if found is None else found)
        return done
    finally:
        for child in children:
            child.end()


class _Child:
    """A child that does `work` on `item`, and writes what comes of it into a pipe."""

    def __init__(self, work: Callable[[T], bytes], item: T) -> None:
        self._pipe, writing = os.pipe()
        try:
            self._pid = os.fork()
            if not self._pid:
                _run(work, item, writing)
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(writing)

    def result(self) -> bytes | None:
        """What came of it, waited for; None when it failed."""
        with open(self._pipe, "rb", closefd=False) as pipe:
            data = pipe.read()
        pid, self._pid = self._pid, 0
        return data if os.waitpid(pid, 0)[1] == 0 else None

    def end(self) -> None:
        """Have it end, if it has not."""
        os.close(self._pipe)
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def _run(work: Callable[[T], bytes], item: T, writing: int) -> None:
    """Does the work and ends the process, whatever happens: nothing of the parent's may be put away here."""
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        with open(writing, "wb", closefd=False) as pipe:
            pipe.write(work(item))
        status = 0
    finally:
        os._exit(status)
