"""Work that several threads do at once, and that ends together: the first failure stops all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from builder.sandbox.launcher import Call

T = TypeVar("T")
R = TypeVar("R")

# How long a canceled child may clear up: it is killed after a second (Call.cancel).
_CLEARING_SECONDS = 2.0
# A thread that reads from a network may hear of the end only when that times out: it is not waited for.
_LEAVING_SECONDS = 0.2


class Together:
    """Calls of the launcher that are canceled together; `canceled` says that they were."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._calls: set[Call[Any]] = set()
        self.canceled = False

    @contextmanager
    def holding(self, call: Call[Any]) -> Iterator[None]:
        """While inside, `cancel` cancels `call`; at once when it came before."""
        with self._lock:
            self._calls.add(call)
            if self.canceled:
                call.cancel()
        try:
            yield
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
        todo: SimpleQueue[tuple[int, T]] = SimpleQueue()
        ended: SimpleQueue[tuple[int, R] | BaseException] = SimpleQueue()
        for numbered in enumerate(items):
            todo.put(numbered)
        threads = [
            threading.Thread(target=_go_on, args=(work, todo, ended), daemon=True) for _ in range(min(most, len(items)))
        ]
        found: dict[int, R] = {}
        try:
            for thread in threads:
                thread.start()
            while len(found) < len(items):
                told = ended.get()
                if isinstance(told, BaseException):
                    raise told
                found[told[0]] = told[1]
        except BaseException:
            self.cancel()
            deadline = time.monotonic() + _LEAVING_SECONDS
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, deadline - time.monotonic()))
            raise
        for thread in threads:
            thread.join()
        return [found[number] for number in range(len(items))]


def _go_on(
    work: Callable[[T], R], todo: SimpleQueue[tuple[int, T]], ended: SimpleQueue[tuple[int, R] | BaseException]
) -> None:
    while True:
        try:
            number, item = todo.get_nowait()
        except Empty:
            return
        try:
            ended.put((number, work(item)))
        except BaseException as error:
            ended.put(error)
            return
