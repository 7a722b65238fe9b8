"""Process 1 of a step as the launcher's child sees it: made ready while the child waits for its call, then told.

    child ──fork into namespaces──▶ process 1: namespaces, /proc, /sys, /dev ──fork──▶ command: filter
      │  …waits for a call…          │         …waits for an order…                      …waits too…
      └──order: StepSpec and root────┴▶ mounts, pivot_root ───────what to become, as who───┴▶ exec
      ◀──report: status, all else killed──┘    …ends beside what the child does next

One is ready for a shape, that of the step before; a step of another shape makes its own. A child that has one ready
has them forked by a nursery.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from builder.linux import syscalls
from builder.sandbox import child, init
from builder.sandbox.nursery import Nursery
from builder.sandbox.order import Order, tell_to
from builder.sandbox.spec import Shape


class First:
    """A process 1. Raises HostError where its namespaces are refused; what else it meets, it tells."""

    def __init__(self, shown: Shape, program: bytes, place: str, nursery: Nursery | None = None) -> None:
        """`program` is the filter of all commands that have one; `place` is the directory that the stage covers.

        A `nursery`, where there is one, forks it, and knows both itself.
        """
        self.shape = shown
        flags = syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
        if shown.alone:
            flags |= syscalls.CLONE_NEWNET
        self._control, theirs = socket.socketpair()
        self.report, writer = os.pipe2(os.O_CLOEXEC)
        try:
            forked = nursery.fork(shown, flags, theirs, writer) if nursery else None
            self.pid = syscalls.fork_tied(flags) if forked is None else forked
        except OSError as error:
            self._control.close()
            os.close(self.report)
            # lazy: only where it is refused
            from builder.sandbox.facts import refused

            raise refused("pid namespace", str(error.strerror)) from error
        finally:
            if getattr(self, "pid", -1) != 0:
                theirs.close()
                os.close(writer)
        if self.pid == 0:
            os.setpgid(0, 0)
            init.serve(shown, program, place, theirs, writer)
        with suppress(OSError):  # whoever is first: see child
            os.setpgid(self.pid, self.pid)

    def begin(self, order: Order, fds: Sequence[int]) -> None:
        """Have it run what it is told; `fds` as Order says. If it has ended, its report tells why."""
        with self._control, suppress(OSError):
            tell_to(self._control, order, fds)

    def told(self) -> dict[str, Any]:
        """What it has reported, waited for; empty when it was killed before."""
        text = b""
        while b"\n" not in text and (more := os.read(self.report, 1 << 16)):
            text += more
        line, end, _ = text.partition(b"\n")
        return json.loads(line) if end else {}

    def end(self) -> None:
        """Kill it, with all that runs in its namespaces, if it has not ended; returns when it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self.close()

    def close(self) -> None:
        """Let go of a process that was waited for."""
        self._control.close()
        os.close(self.report)


_nurseries: list[Nursery] = []
_ready: list[First] = []
_ending: list[First] = []
_last = Shape()


def make_ready(program: bytes, place: str) -> None:
    """Have a process 1 wait for the next step, if none does: see First. `place` must stay."""
    if not _nurseries:
        child.at_end(_end_nursery)
        _nurseries.append(Nursery(program, place))
    if not _ready:
        child.at_end(end_ready)
        _ready.append(First(_last, program, place, _nurseries[0]))


def taken(shown: Shape, program: bytes, place: str) -> First:
    """A process 1 for a step of the shape `shown`: the one that waits, or a new one."""
    global _last
    _last = shown
    while _ready:
        found = _ready.pop()
        if found.shape == shown:
            return found
        found.end()
    return First(shown, program, place, _nurseries[0] if _nurseries else None)


def leave(first: First) -> None:
    """Let one end by itself that has told its status, see `await_ended`."""
    _ending.append(first)


def await_ended() -> None:
    """Wait for those that were left to end: nothing holds their mounts then. It is a matter of a millisecond."""
    while _ending:
        first = _ending.pop()
        with suppress(ChildProcessError):
            os.waitpid(first.pid, 0)
        first.close()


def _end_nursery() -> None:
    while _nurseries:
        _nurseries.pop().end()


def end_ready() -> None:
    """End the one that waits, when no step comes any more."""
    while _ready:
        _ready.pop().end()
