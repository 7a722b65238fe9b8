"""The most memory that a program and all it starts hold at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

_EVERY_SECONDS = 0.01


def peak(action: Callable[[], object], others: Sequence[int] = ()) -> int:
    """The bytes that the processes which `action` starts, and those of `others` with all below them, hold at most.

    That is the sum of their shares (PSS in proc(5)): what they share counts once. Children there before do not count.
    """
    before = set(_children(os.getpid()))
    most = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(_EVERY_SECONDS):
            started = [pid for pid in _children(os.getpid()) if pid not in before]
            found = {pid for top in (*started, *others) for pid in _tree(top)}
            most = max(most, sum(map(_share, found)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        action()
    finally:
        over.set()
        watcher.join()
    return most


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += _children(found[-1])
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def _share(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
