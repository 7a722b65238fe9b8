"""A step that runs, as it is told to whoever wants to join or end it: processes, namespaces, control groups.

Its keeper, the process that waits for it, holds descriptors of its namespaces and the entrances of its control groups.
Process 1 itself shows nobody of another user namespace what it is in; whoever may look at the keeper may join.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

# Of a process, by the names of /proc/PID/ns (namespaces(7)).
NAMESPACES = ("user", "pid", "ipc", "uts", "net", "cgroup", "mnt")
_START_TIME = 22 - 3  # its field of /proc/PID/stat, counted from the one behind the program's name (proc(5))


class Process(Struct, frozen=True):
    """A process by its number and, as numbers come again, its start in clock ticks since boot."""

    pid: int
    start: int

    def lives(self) -> bool:
        """Whether it is still there; what has ended and is not waited for yet is not."""
        fields = _stat(self.pid)
        return len(fields) > _START_TIME and int(fields[_START_TIME]) == self.start and fields[0] not in ("Z", "X")


class Running(Struct, frozen=True):
    """`first` is process 1 of a step, `keeper` who waits for it and has `namespaces` and `entrances` open.

    Those are numbers of the keeper's descriptors. `one_id`: its calls are answered by a supervisor of its own.
    """

    keeper: Process
    first: Process
    namespaces: Mapping[str, int]
    entrances: tuple[int, ...]
    one_id: bool


def process(pid: int) -> Process:
    """The process that has the number `pid` now. Raises ProcessLookupError."""
    fields = _stat(pid)
    if not fields:
        raise ProcessLookupError(pid)
    return Process(pid, int(fields[_START_TIME]))


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def hand_out(begun: socket.socket) -> None:
    """In process 1, on the stage, whose /proc it sees: give the keeper its namespaces."""
    descriptors = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in NAMESPACES]
    socket.send_fds(begun, [b"N"], descriptors)
    for fd in descriptors:
        os.close(fd)


def received(begun: socket.socket, pid: int, entrances: Sequence[int], *, one_id: bool) -> Running | None:
    """In the keeper: what runs, once its command has begun; None when it could not begin."""
    _, descriptors, _, _ = socket.recv_fds(begun, 1, len(NAMESPACES))
    if begun.recv(1) or len(descriptors) != len(NAMESPACES):
        return None
    names = dict(zip(NAMESPACES, descriptors, strict=True))
    return Running(process(os.getpid()), process(pid), names, tuple(entrances), one_id)
