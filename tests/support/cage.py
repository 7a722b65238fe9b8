"""Control groups of the tests' own, around programs that may go wild: limits that hold whatever those do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from tests.support.program import Pybuild

_TOP = Path("/sys/fs/cgroup")
_PATIENCE = 20


@contextmanager
def caged(pybuild: Pybuild, *, processes: int = 500, memory: int = 1 << 30) -> Iterator[Pybuild]:
    """The program in control groups with at most so many processes and bytes; all of it is killed at the end."""
    groups = _groups(f"pybuild-cage-{os.getpid()}", processes, memory)
    enter = "".join(f"echo $$ > {group}/cgroup.procs && " for group in groups)
    try:
        yield replace(pybuild, prefix=("sh", "-c", f'{enter}exec "$@"', "sh", *pybuild.prefix))
    finally:
        for group in groups:
            _remove(group)


def _groups(name: str, processes: int, memory: int) -> list[Path]:
    if (_TOP / "cgroup.controllers").exists():
        limits = {_TOP / name: {"pids.max": processes, "memory.max": memory, "memory.swap.max": 0}}
    else:
        limits = {
            _TOP / "pids" / name: {"pids.max": processes},
            _TOP / "memory" / name: {"memory.limit_in_bytes": memory},
        }
    for group, values in limits.items():
        group.mkdir()
        for file, value in values.items():
            (group / file).write_text(str(value))
    return list(limits)


def _remove(group: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            group.rmdir()
        except OSError:
            assert time.monotonic() < deadline, f"{group} does not empty"
            time.sleep(0.05)
        else:
            return
