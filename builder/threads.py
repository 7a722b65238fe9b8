"""Threads that end together: the same work on several things at once, in turn or not, and a pass done by two halves.

The first failure stops all of it, and is raised where the work was given.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, Queue, SimpleQueue
from typing import Generic, TypeVar

from builder import spans

T = TypeVar("T")
R = TypeVar("R")

# A thread that reads from a network may hear of the end only when that times out: it is not waited for.
_LEAVING_SECONDS = 0.2


def each(work: Callable[[T], R], items: Sequence[T], most: int, cancel: Callable[[], object]) -> list[R]:
    """What `work` gives for each item, in their order, by at most `most` threads, which begin in that order.

    Raises the first exception of any of them, and what interrupts the caller, after it has called `cancel`.
    """
    todo: SimpleQueue[tuple[int, T]] = SimpleQueue()
    ended: SimpleQueue[tuple[int, R] | BaseException] = SimpleQueue()
    for numbered in enumerate(items):
        todo.put(numbered)
    threads = [
        threading.Thread(target=spans.carried(_go_on), args=(work, todo, ended), daemon=True)
        for _ in range(min(most, len(items)))
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
        cancel()
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


class InTurn(Generic[T, R]):
    """Work on many things at once by a few threads, which gives what it makes of them in their order.

    `make` gives each thread a function of its own. As many things are under way as there are threads.
    """

    def __init__(self, make: Callable[[], Callable[[T], R]], threads: int) -> None:
        self._make, self._most = make, threads
        self._todo: SimpleQueue[_Slot[T, R] | None] = SimpleQueue()
        self._under_way: deque[_Slot[T, R]] = deque()
        self._threads: list[threading.Thread] = []

    def put(self, item: T) -> Iterator[R]:
        """Begin with `item`; gives what must be taken before there is room for another. Raises what the work did."""
        slot: _Slot[T, R] = _Slot(item)
        self._under_way.append(slot)
        self._todo.put(slot)
        if len(self._threads) < self._most:
            self._threads.append(_begun(self._go_on, self._make()))
        while len(self._under_way) > self._most:
            yield self._under_way.popleft().taken()

    def end(self) -> Iterator[R]:
        """What is still to come, to the last; then the threads have ended. Raises what the work did."""
        while self._under_way:
            yield self._under_way.popleft().taken()
        self.stop()

    def stop(self) -> None:
        """Begin nothing more; returns when the threads have ended."""
        with suppress(Empty):
            while True:
                self._todo.get_nowait()
        for _ in self._threads:
            self._todo.put(None)
        while self._threads:
            self._threads.pop().join()

    def _go_on(self, work: Callable[[T], R]) -> None:
        while (slot := self._todo.get()) is not None:
            slot.do(work)


class _Slot(Generic[T, R]):
    """One thing, and what becomes of it."""

    def __init__(self, item: T) -> None:
        self._item: T | None = item
        self._done = threading.Lock()
        self._done.acquire()
        self._made: R | BaseException

    def do(self, work: Callable[[T], R]) -> None:
        assert self._item is not None
        try:
            self._made = work(self._item)
        except BaseException as error:
            self._made = error
        self._item = None
        self._done.release()

    def taken(self) -> R:
        self._done.acquire()
        if isinstance(self._made, BaseException):
            raise self._made
        return self._made


class Beside(Generic[T]):
    """A thread that does what it is given, in order, while who gives it goes on: the other half of one pass.

    It begins with the second thing, so that a pass of one thing needs no thread. At most `ahead` things wait.
    """

    def __init__(self, work: Callable[[T], object], ahead: int) -> None:
        self._work = work
        self._todo: Queue[T | None] = Queue(ahead)
        self._first: list[T] = []
        self._thread: threading.Thread | None = None
        self._failed: BaseException | None = None

    def put(self, item: T) -> None:
        """Have `item` done; may wait. Raises what an earlier one raised."""
        if self._failed is not None:
            raise self._failed
        if self._thread is None and not self._first:
            self._first.append(item)
            return
        if self._thread is None:
            self._todo.put(self._first.pop())
            self._thread = _begun(self._go_on)
        self._todo.put(item)

    def end(self) -> None:
        """Wait until all is done; the thread has ended then. Raises what one of them raised."""
        while self._first:
            self._work(self._first.pop())
        self._join()
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """Leave what is not done yet; the thread has ended then."""
        self._failed = self._failed or Stopped()
        self._join()

    def _join(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._todo.put(None)
            thread.join()

    def _go_on(self) -> None:
        while (item := self._todo.get()) is not None:
            if self._failed is not None:
                continue  # so that who waits to put something does not wait for ever
            try:
                self._work(item)
            except BaseException as error:
                self._failed = error


class Stopped(Exception):
    """That a Beside was stopped; who stopped it knows why."""


def _begun(target: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=spans.carried(target), args=args, daemon=True)
    thread.start()
    return thread
