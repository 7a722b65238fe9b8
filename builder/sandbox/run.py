"""Runs one step: the part outside its namespaces, inside a launcher's child.

The caller has a mount namespace of its own and `root`, a mount point, holds the step's file system.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from builder import errors, spans
from builder.errors import HostError, PybuildError
from builder.linux import syscalls
from builder.sandbox import cgroups, child, init, platforms, seccomp, targets
from builder.sandbox.oneid.supervisor import supervised
from builder.sandbox.running import Running, received
from builder.sandbox.spec import Network, StepResult, StepSpec, Usage

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
                entrances = () if group is None else group.entrances()
                answer, usage, commanded = _isolated(spec, root, program, entrances, door, begun)
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
        Usage(seconds, usage.ru_utime + usage.ru_stime, used.peak_bytes or usage.ru_maxrss * 1024),
        used.memory_kills,
        used.refused_forks,
        bool(answer.get("timed_out")),
    )


def _isolated(
    spec: StepSpec,
    root: str,
    program: bytes,
    entrances: Sequence[int],
    door: socket.socket | None,
    begun: Callable[[Running], None] | None,
) -> tuple[dict[str, Any], Any, tuple[int, int]]:
    """What its processes told, what they used, and from when to when the command ran."""
    flags = syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS
    if spec.network is Network.NONE:
        flags |= syscalls.CLONE_NEWNET
    reader, writer = os.pipe2(os.O_CLOEXEC)
    ours, theirs = (None, None) if begun is None else socket.socketpair()
    forked = time.monotonic_ns()
    try:
        pid = syscalls.fork_tied(flags)
    except OSError as error:
        # lazy: only where it is refused
        from builder.sandbox.facts import refused

        raise refused("pid namespace", str(error.strerror)) from error
    if pid == 0:
        os.close(reader)
        if ours is not None:
            ours.close()
        init.run(spec, root, writer, program, entrances, door, theirs)
    os.close(writer)
    try:
        if begun is not None and ours is not None and theirs is not None:
            theirs.close()
            running = received(ours, pid, entrances, one_id=door is not None)
            ours.close()
            if running is not None:
                begun(running)
        else:
            for fd in entrances:
                os.close(fd)
        waited = wait_for(pid, spec.timeout)
    except BaseException:
        spans.passed("command", forked, time.monotonic_ns())
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    ended = time.monotonic_ns()
    answer, commanded = _told(reader)
    spans.passed("command", commanded or forked, ended)
    if waited.timed_out or waited.killed:
        answer = {**(answer or {"status": _KILLED}), "timed_out": waited.timed_out}
    return answer, waited.usage, (commanded or forked, ended)


def _told(reader: int) -> tuple[dict[str, Any], int]:
    """What the step's processes have told, see init.run, and when the command began, 0 if they did not tell that."""
    with os.fdopen(reader, "rb") as report:
        lines = [json.loads(line) for line in report.read().splitlines()]
    began = lines.pop(0)[init.BEGAN] if lines and init.BEGAN in lines[0] else 0
    return lines[0] if lines else {}, began


class Waited(NamedTuple):
    """How a process ended: as waitpid(2) says it, what it used, and whether it timed out or was killed by KILL."""

    status: int
    usage: Any
    timed_out: bool
    killed: bool


def wait_for(pid: int, timeout: float = 0) -> Waited:
    """Wait for `pid`, passing on what this process is sent.

    After `timeout` seconds (0: never) it is sent SIGTERM, and a grace later SIGKILL. Raises CanceledError.

    All that is waited for stays blocked and is taken one by one: a handler would be run between two byte codes only,
    so that a signal in the instant before a wait began would be noticed when that wait ended, if ever.
    """
    expected = {*child.FORWARDED, child.CANCEL, child.KILL, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, expected)
    start = time.monotonic() + timeout
    due = [(start, signal.SIGTERM), (start + _GRACE_SECONDS, signal.SIGKILL)] if timeout else []
    timed_out = killed = False
    try:
        while True:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                return Waited(status, usage, timed_out, killed)
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


def raised(answer: dict[str, Any]) -> PybuildError:
    """The error a process of the step has told of as a JSON line."""
    kind = getattr(errors, str(answer.get("kind")), HostError)
    return kind(str(answer.get("error", "the step's first process was killed")), hint=answer.get("hint"))
