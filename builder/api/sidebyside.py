"""The same work on many things: as many calls of the launcher at once as there are cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from builder.sandbox.launcher import Call

T = TypeVar("T")
R = TypeVar("R")

IN_USE_HINT = "run it again when nothing else uses the store"


def side_by_side(items: Iterable[T], begin: Callable[[T], Call[R]]) -> Iterator[tuple[T, R]]:
    """What `begin` gives for each item, in order. What is still running when one raises is ended."""
    most = len(os.sched_getaffinity(0))
    running: deque[tuple[T, Call[R]]] = deque()
    try:
        for item in items:
            running.append((item, begin(item)))
            if len(running) >= most:
                done, call = running.popleft()
                yield done, call.result()
        while running:
            done, call = running.popleft()
            yield done, call.result()
    finally:
        for _, call in running:
            call.end()
