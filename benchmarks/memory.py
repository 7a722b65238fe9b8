"""The most memory that a program and all it starts hold at once."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_EVERY_SECONDS = 0.01


def peak(command: Sequence[str | Path], environment: Mapping[str, str]) -> int:
    """Bytes, as the sum of the shares of the processes (PSS in proc(5)): what they share counts once."""
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    most = 0
    while process.poll() is None:
        most = max(most, sum(_share(pid) for pid in _tree(process.pid)))
        time.sleep(_EVERY_SECONDS)
    return most


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        with suppress(OSError):
            for task in os.listdir(f"/proc/{found[-1]}/task"):
                todo += map(int, Path(f"/proc/{found[-1]}/task/{task}/children").read_text().split())
    return found


def _share(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
