"""Stopping work from another thread: who wants it to end says so once, and all that blocks in it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable

from builder.errors import CanceledError


class Stop:
    """Whether some work is to end, and what must be called so that it does. All of it from any thread.

    Ctrl-C interrupts a main thread wherever it is. Work in other threads has this in its place: what waits for long
    says by `then` how the waiting is ended, and what takes long asks by `check`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = False
        self._then: list[Callable[[], object]] = []

    def ask(self) -> None:
        """Have the work end: it raises CanceledError as soon as it can. Asking again does nothing."""
        with self._lock:
            then, self._then = self._then, []
            self._asked = True
        for end in then:
            end()

    @property
    def asked(self) -> bool:
        """Whether the work is to end."""
        return self._asked

    def then(self, end: Callable[[], object]) -> None:
        """Have `end` called when the work is to end; at once, when it is already."""
        with self._lock:
            if not self._asked:
                self._then.append(end)
                return
        end()

    def check(self) -> None:
        """Raise CanceledError when the work is to end."""
        if self._asked:
            raise CanceledError("canceled")
