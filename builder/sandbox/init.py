"""Process 1 of a step: sets the step up from inside its namespaces, starts the command, reaps, forwards.

Top to bottom in the order of things: namespaces → command, a fork under its filter → what every step sees, on a stage
that becomes `/` → (here it waits to be told what to run) → control group → root and mounts → pivot_root → hostname →
command, which is limited and cut to its capabilities before it becomes the user's program.
"""

from __future__ import annotations

import errno
import os
import resource  # at once: inside a step's root there is nothing to import from
import signal
import socket
from contextlib import suppress
from typing import NoReturn

from builder.errors import HostError, PybuildError
from builder.linux import syscalls
from builder.linux.owners import one_id
from builder.linux.users import identity
from builder.sandbox import caps
from builder.sandbox.command import (
    close_all_but,
    confine,
    not_begun,
    read,
    serve_command,
    tell,
    tell_error,
    terminal_of_its_own,
)
from builder.sandbox.ops import own, told
from builder.sandbox.order import Command, Received, received, rehearse, tell_to
from builder.sandbox.running import hand_out
from builder.sandbox.spec import Namespace, Shape
from builder.sandbox.stage import entered, staged

# What the step sees of its process 1, and a command that joins it until it is one.
NAME = "pybuild-init"
_SELF_SENT = {signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU}


def serve(shown: Shape, program: bytes, place: str, control: socket.socket, report: int) -> NoReturn:
    """Be process 1 of a step: make ready for one of the shape `shown`, with the stage at `place`, and run it.

    `program` is the filter commands are put under. What it is to run comes through `control`. It tells by JSON lines
    to `report`, of which the first counts: {"status": n}, with "seconds" of processor time, "peak" in KiB and,
    where that was asked for, when the command "began", in nanoseconds of CLOCK_MONOTONIC; or an error. It has killed
    all others then.
    """
    begun: socket.socket | None = None
    try:
        close_all_but(control.fileno(), report)
        syscalls.show_as(NAME)  # what the user wrote to have it started is not the step's to read
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        _enter_namespaces(shown)
        if not shown.insecure:
            caps.bound()
        early = program if shown.filtered else b""
        # What is to be in a control group is forked once this process is in it. Else before anything else is done:
        # what this process writes to after a fork it pays for by a copy.
        command = None if shown.limited else _Command(report, early)
        stage = staged(shown, place)
        one_id()  # asked once, of the machine's /proc; files of the step's own are given to their owners by it
        _leave_for(stage)  # what the machine has mounted is many mounts: to let go of them takes time, which is now
        rehearse()
        got = received(control)
        if got is None:
            os._exit(0)
        begun = got.begun
        _enter_groups(got)
        command = command or _Command(report, early)
        _set_up(got, stage)
        _run(got, command, report, b"" if early else got.order.program)
    except PybuildError as error:
        tell_error(report, error)
    except OSError as error:
        tell(report, {"error": f"the sandbox cannot be set up: {error}", "kind": "HostError"})
    finally:
        not_begun(begun)
        os._exit(0)


def _enter_namespaces(shown: Shape) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS | (0 if shown.limited else syscalls.CLONE_NEWCGROUP))
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    if shown.namespace is not None:
        _join(shown.namespace)
    if shown.alone:
        syscalls.bring_loopback_up()
    os.chdir("/")
    with suppress(OSError):  # a kernel without keyrings, or a quota used up: nothing to separate then
        syscalls.new_session_keyring()


def _leave_for(root: int) -> None:
    """Make the mount `root`, a descriptor, `/` for all that is in this mount namespace, and let go of what was."""
    os.fchdir(root)
    # pivot_root(2), NOTES: with both on the same directory the old root ends up on top and can be detached
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")


class _Command:
    """The process that becomes the command, once it is told what that is; under the filter `program` if there is one.

    In its mount namespace pivot_root(2) changes its root and its directory with those of process 1.
    """

    def __init__(self, report: int, program: bytes) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs:
            self.pid = os.fork()
            if self.pid == 0:
                serve_command(theirs, report, program)

    def began(self) -> int:
        """When the command began, if it was to tell; 0: it did not. For when it has ended."""
        with suppress(OSError):
            return int(self.channel.recv(32, socket.MSG_DONTWAIT) or 0)
        return 0


def _enter_groups(got: Received) -> None:
    for fd in got.entrances:
        os.write(fd, b"0")
        os.close(fd)
    if got.entrances:
        syscalls.unshare(syscalls.CLONE_NEWCGROUP)  # its root is the group that was entered


def _run(got: Received, command: _Command, report: int, program: bytes) -> None:
    spec = got.order.spec
    terminal = None if got.terminal is None else terminal_of_its_own(got.terminal)
    who = identity(spec.user, read)
    told = Command(
        spec, who, program, terminal is not None, got.door is not None, got.begun is not None, got.order.timed
    )
    more = [got.door, got.begun]
    fds = [*got.stdio, *([] if terminal is None else [terminal]), *(end.fileno() for end in more if end is not None)]
    tell_to(command.channel, told, fds)
    for fd in fds:
        os.close(fd)  # who reads what the step prints need not wait for this process
    for end in more:
        if end is not None:
            end.detach()
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    confine(spec, b"")  # it makes few calls, and nobody can have it make others
    status = _reap(command.pid)
    _end_all()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    said: dict[str, object] = {"status": status, "seconds": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss}
    if began := command.began():
        said["began"] = began
    tell(report, said)


def _end_all() -> None:
    """Kill and reap all that the command has left, as the end of this process would."""
    while True:
        try:
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _set_up(got: Received, stage: int) -> None:
    spec = got.order.spec
    if got.begun is not None:
        hand_out(got.begun)
    root = entered(stage, got.root)
    for op in own(spec, got.binds):
        with told(op):
            op.apply(root, stage)
    os.close(stage)
    _leave_for(root)
    os.close(root)
    syscalls.sethostname(spec.hostname)


def _join(namespace: Namespace) -> None:
    """Enter a network namespace that another process holds. Raises HostError when that has ended."""
    try:
        fd = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_ino != namespace.inode:  # the process has ended, and another has its number
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), namespace.path)
            syscalls.setns(fd, syscalls.CLONE_NEWNET)
        finally:
            os.close(fd)
    except OSError as error:
        raise HostError(f"the step's network has gone: {error.strerror}") from error


def _reap(command: int) -> int:
    """Wait for the command, reaping orphans and forwarding signals; returns its exit status."""
    wanted = signal.valid_signals()
    while True:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 255
            if pid == 0:
                break
            if pid == command:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        info = signal.sigwaitinfo(wanted)
        if info.si_signo not in _SELF_SENT:
            with suppress(ProcessLookupError):
                os.kill(command, info.si_signo)
