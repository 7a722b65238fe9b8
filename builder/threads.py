"""The same work on several things at once, by threads that end together: the first failure stops all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

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
