"""What forks process 1 of steps: its children are those of who asks, and it can be missed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.linux import syscalls
from builder.sandbox.launcher import Launcher
from builder.sandbox.nursery import Nursery
from builder.sandbox.spec import Shape
from builder.snapshots.active import own_mounts


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    started = Launcher.start((__name__,))
    yield started
    started.close()


def forked(place: str, killed: bool) -> tuple[bool, int] | None:
    """In a child of the launcher: whether a process 1 is a child of this process, and how it ends when let go."""
    own_mounts()
    nursery = Nursery(b"", place)
    control, theirs = socket.socketpair()
    reader, writer = os.pipe()
    if killed:
        os.kill(nursery._pid, signal.SIGKILL)
        os.waitid(os.P_PID, nursery._pid, os.WEXITED | os.WNOWAIT)
    number = nursery.fork(Shape(), syscalls.CLONE_NEWPID | syscalls.CLONE_NEWUTS, theirs, writer)
    nursery.end()
    theirs.close()
    if number is None:
        return None
    parent = int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
    control.close()
    status = os.waitpid(number, 0)[1]
    os.close(writer)
    os.close(reader)
    return parent == os.getpid(), status


def test_what_it_forks_is_a_child_of_who_asked_and_outlives_it(launcher: Launcher, tmp_path: Path) -> None:
    assert launcher.call(forked, None, str(tmp_path), False).result() == (True, 0)


def test_one_that_was_killed_forks_nothing(launcher: Launcher, tmp_path: Path) -> None:
    assert launcher.call(forked, None, str(tmp_path), True).result() is None
