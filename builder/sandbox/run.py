"""Runs one step: the part outside its namespaces, inside a launcher's child.

The caller has a mount namespace of its own and `root`, a mount point, holds the step's file system.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from builder import errors, spans
from builder.errors import HostError, PybuildError
from builder.linux import syscalls
from builder.sandbox import cgroups, child, first, platforms, seccomp, targets
from builder.sandbox.first import First
from builder.sandbox.oneid.supervisor import supervised
from builder.sandbox.order import Order
from builder.sandbox.running import Running, received
from builder.sandbox.spec import StepResult, StepSpec, Usage, shape
from builder.sandbox.stage import opened

# How long a command that has timed out may take to end by itself, as with `docker stop`.
_GRACE_SECONDS = 10
_LONGEST_WAIT = 24 * 3600
# 128 + SIGKILL
_KILLED = 137


def run_step(
    spec: StepSpec, root: str, kept: Path | None = None, begun: Callable[[Running], None] | None = None
) -> StepResult:
    """Run `spec` in `root` with this process's stdin, stdout and stderr; returns when all of it has ended.

    `kept` is a directory for compiled filters; `begun` is told of it once its command runs. Raises HostError when the
    kernel refuses what isolation or a limit needs, or nothing runs programs of the step's platform, NotFoundError for
    a USER that is not there, CanceledError when told to stop; the step's processes are gone then too.
    """
    started = time.monotonic_ns()
    program = b"" if spec.insecure or spec.unfiltered else seccomp.program(kept)
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        made = targets.prepare(directory, spec)
        try:
            with (
                platforms.made_runnable(spec.platform, root),
                cgroups.group(spec.resources) as group,
                supervised(setuid=not spec.no_new_privileges) as door,
            ):
                answer, commanded = _isolated(spec, root, program, group, door, begun)
                used = cgroups.Used() if group is None else group.used()
        finally:
            targets.restore(directory, made)
    finally:
        os.close(directory)
    spans.passed("set-up", started, commanded[0])
    spans.passed("clear", commanded[1], time.monotonic_ns())
    if "status" not in answer and used.memory_kills:
        answer = {"status": _KILLED}  # it was process 1 that the kernel chose
    if "status" not in answer:
        raise raised(answer)
    seconds = (time.monotonic_ns() - started) / 1e9
    return StepResult(
        int(answer["status"]),
        Usage(seconds, answer.get("seconds", 0.0), used.peak_bytes or answer.get("peak", 0) * 1024),
        used.memory_kills,
        used.refused_forks,
        bool(answer.get("timed_out")),
    )


def _isolated(
    spec: StepSpec,
    root: str,
    program: bytes,
    group: cgroups.Group | None,
    door: socket.socket | None,
    begun: Callable[[Running], None] | None,
) -> tuple[dict[str, Any], tuple[int, int]]:
    """Have a process 1 run `spec`; gives what it tells, with "seconds" and "peak" as in init.serve.

    Then from when to when the command ran.
    """
    entrances = () if group is None else group.entrances()
    running = first.taken(shape(spec), program, root)
    # Who else could be in its namespaces, or must have left something, is waited for.
    alone = begun is None and door is None and group is None
    ordered = time.monotonic_ns()
    try:
        _order(running, spec, root, program, entrances, door, begun)
        waited = wait_for(running.pid, spec.timeout, running.report if alone else None)
    except BaseException:
        spans.passed("command", ordered, time.monotonic_ns())
        running.end()
        raise
    ended = time.monotonic_ns()
    answer = running.told()
    began = int(answer.get("began", ordered))
    spans.passed("command", began, ended)
    if waited.status is None and "status" in answer:
        first.leave(running)
    else:
        running.end()
    if waited.usage is not None:
        used = waited.usage
        answer |= {"seconds": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss}
    if waited.timed_out or waited.killed:
        answer = {"status": _KILLED, **answer, "timed_out": waited.timed_out}
    return answer, (began, ended)


def _order(
    running: First,
    spec: StepSpec,
    root: str,
    program: bytes,
    entrances: Sequence[int],
    door: socket.socket | None,
    begun: Callable[[Running], None] | None,
) -> None:
    with ExitStack() as stack:
        ours, theirs = (None, None) if begun is None else socket.socketpair()
        channel = child.channel() if spec.terminal else None
        try:
            given = [syscalls.open_tree(root, recursive=True), *opened(spec)]
        except OSError as error:
            raise HostError(f"the sandbox cannot be set up: {error}") from error
        for fd in given:
            stack.callback(os.close, fd)
        ends = [end.fileno() for end in (door, theirs, channel) if end is not None]
        order = Order(
            spec,
            b"" if shape(spec).filtered else program,
            len(given) - 1,
            len(entrances),
            door=door is not None,
            begun=theirs is not None,
            terminal=channel is not None,
            timed=spans.recording(),
        )
        running.begin(order, [given[0], 0, 1, 2, *given[1:], *entrances, *ends])
        if theirs is not None:
            theirs.close()
    if begun is not None and ours is not None:
        with ours:
            known = received(ours, running.pid, entrances, one_id=door is not None)
        if known is not None:
            begun(known)
    else:
        for fd in entrances:
            os.close(fd)


class Waited(NamedTuple):
    """How a process ended: as waitpid(2) says it, what it used, and whether it timed out or was killed by KILL.

    `status` is None where it has not ended, but told all there is to tell.
    """

    status: int | None
    usage: Any
    timed_out: bool
    killed: bool


def wait_for(pid: int, timeout: float = 0, report: int | None = None) -> Waited:
    """Wait for `pid`, passing on what this process is sent. What it writes to the pipe `report` is as good as its end.

    After `timeout` seconds (0: never) it is sent SIGTERM, and a grace later SIGKILL. Raises CanceledError.

    All that is waited for stays blocked and is taken one by one: a handler would be run between two byte codes only,
    so that a signal in the instant before a wait began would be noticed when that wait ended, if ever.
    """
    expected = {*child.FORWARDED, child.CANCEL, child.KILL, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, expected)
    told = select.poll()
    if report is not None:
        told.register(report, select.POLLIN)
        _signal_when_readable(report)
    start = time.monotonic() + timeout
    due = [(start, signal.SIGTERM), (start + _GRACE_SECONDS, signal.SIGKILL)] if timeout else []
    timed_out = killed = False
    try:
        while True:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                return Waited(status, usage, timed_out, killed)
            if report is not None and told.poll(0):
                return Waited(None, None, timed_out, killed)
            if due and time.monotonic() >= due[0][0]:
                os.kill(pid, due.pop(0)[1])
                timed_out = True
            wait = due[0][0] - time.monotonic() if due else _LONGEST_WAIT
            info = signal.sigtimedwait(expected, min(max(wait, 0), _LONGEST_WAIT))
            if info is None:
                continue
            number = info.si_signo
            if number == child.CANCEL:
                child.give_up(number, None)
            if number == child.KILL:
                killed, number = True, signal.SIGKILL
            if number != signal.SIGCHLD:
                os.kill(pid, number)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signal_when_readable(fd: int) -> None:
    """Have this process be sent SIGCHLD, which it may ignore, when there is something to read (fcntl(2), F_SETSIG)."""
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGCHLD)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)


def raised(answer: dict[str, Any]) -> PybuildError:
    """The error a process of the step has told of as a JSON line."""
    kind = getattr(errors, str(answer.get("kind")), HostError)
    return kind(str(answer.get("error", "the step's first process was killed")), hint=answer.get("hint"))
