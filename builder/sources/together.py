"""Work that several threads do at once, and that ends together: the first failure stops all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from builder.errors import CanceledError
from builder.sandbox.launcher import Call
from builder.threads import each

T = TypeVar("T")
R = TypeVar("R")

# How long a canceled child may clear up: it is killed after a second (Call.cancel).
_CLEARING_SECONDS = 2.0


class Together:
    """Calls of the launcher that are canceled together; `canceled` says that they were."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._calls: set[Call[Any]] = set()
        self.canceled = False

    @contextmanager
    def holding(self, begin: Callable[[], Call[T]]) -> Iterator[Call[T]]:
        """Begin a call, which `cancel` cancels while inside. Raises CanceledError, begins none, when it came before.

        Nobody would wait for what such a late one has to clear up.
        """
        with self._lock:
            if self.canceled:
                raise CanceledError("canceled")
            call = begin()
            self._calls.add(call)
        try:
            yield call
        finally:
            with self._lock:
                self._calls.discard(call)

    def cancel(self) -> None:
        """Cancel all calls and wait until they have cleared up."""
        with self._lock:
            self.canceled = True
            calls = list(self._calls)
            for call in calls:
                call.cancel()
        deadline = time.monotonic() + _CLEARING_SECONDS
        while any(call.running() for call in calls) and time.monotonic() < deadline:
            time.sleep(0.002)

    def each(self, work: Callable[[T], R], items: Sequence[T], most: int) -> list[R]:
        """What `work` gives for each item, in their order, by at most `most` threads, which begin in that order.

        Raises the first exception of any of them, and what interrupts the caller; all has been canceled then.
        """
        return each(work, items, most, self.cancel)
