"""Runs a command in a step that runs: in its namespaces and control groups, under what its own command is under.

    a launcher's child (no user namespace of its own) ──setns: user, pid──fork──▶ command ──setns: the others──▶

The child stays outside and waits. The command cannot be looked at by the step's processes until it is one of them
(PR_SET_DUMPABLE), and reads nothing of the step but its users before it is confined.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from builder.errors import HostError, PybuildError, UsageError
from builder.linux import syscalls
from builder.linux.owners import one_id
from builder.linux.users import identity
from builder.sandbox import caps, child, command, init, seccomp
from builder.sandbox.oneid.supervisor import supervised
from builder.sandbox.run import raised, wait_for
from builder.sandbox.running import NAMESPACES, Running
from builder.sandbox.spec import StepSpec

_KINDS = {
    "user": syscalls.CLONE_NEWUSER,
    "pid": syscalls.CLONE_NEWPID,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "net": syscalls.CLONE_NEWNET,
    "cgroup": syscalls.CLONE_NEWCGROUP,
    "mnt": syscalls.CLONE_NEWNS,
}


def enter(running: Running, spec: StepSpec, kept: Path) -> int:
    """Run the command of `spec` in the step `running`; gives its exit status, 128+n when signal n killed it.

    Only the command, its variables, directory, user and terminal, and what it is confined by count; the rest is the
    step's. Raises UsageError when the step has ended, HostError, and NotFoundError for a user that is not there.
    """
    program = b"" if spec.insecure or spec.unfiltered else seccomp.program(kept)
    namespaces, entrances = _opened(running)
    syscalls.show_as(init.NAME)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    _join("user", namespaces)
    one_id.cache_clear()  # this process's namespace is another now
    with supervised(setuid=not spec.no_new_privileges) as door:
        # After the supervisor, which would hold them open.
        reader, writer = os.pipe2(os.O_CLOEXEC)
        ours, theirs = socket.socketpair()
        _join("pid", namespaces)
        pid = syscalls.fork_tied()
        if pid == 0:
            os.close(reader)
            ours.close()
            _inside(spec, namespaces, entrances, program, writer, door, theirs)
        os.close(writer)
        theirs.close()
        if not ours.recv(1):  # closed by the command's beginning
            child.tell_begun()
        status = wait_for(pid).status or 0
    with os.fdopen(reader, "rb") as report:
        if text := report.read():
            raise raised(json.loads(text.splitlines()[0]))
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def show_root(running: Running) -> None:
    """Hand the caller a descriptor of the root of the step `running` (Call.receive_fd). Raises as `enter`."""
    namespaces, _ = _opened(running)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    for name in ("user", "mnt"):
        _join(name, namespaces)
    child.send_fd(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


def _opened(running: Running) -> tuple[Mapping[str, int], list[int]]:
    """Descriptors of the namespaces that are not this process's own, and of the control groups to enter."""
    place = f"/proc/{running.keeper.pid}/fd"
    namespaces = {}
    try:
        for name in NAMESPACES:
            fd = os.open(f"{place}/{running.namespaces[name]}", os.O_RDONLY | os.O_CLOEXEC)
            if os.fstat(fd).st_ino == os.stat(f"/proc/self/ns/{name}").st_ino:
                os.close(fd)
            else:
                namespaces[name] = fd
        entrances = [os.open(f"{place}/{fd}", os.O_WRONLY | os.O_CLOEXEC) for fd in running.entrances]
    except (FileNotFoundError, ProcessLookupError):
        raise UsageError("the container has just ended") from None
    except OSError as error:
        raise HostError(f"the container cannot be joined: {error.strerror} ({error.filename})") from error
    # Looked at last: what was opened is then this process's, whoever has had its number before.
    if not (running.keeper.lives() and running.first.lives()):
        raise UsageError("the container has just ended")
    return namespaces, entrances


def _join(name: str, namespaces: Mapping[str, int]) -> None:
    fd = namespaces.get(name)
    if fd is not None:
        try:
            syscalls.setns(fd, _KINDS[name])
        except OSError as error:
            raise HostError(f"the container cannot be joined: {error.strerror} ({name} namespace)") from error


def _inside(
    spec: StepSpec,
    namespaces: Mapping[str, int],
    entrances: list[int],
    program: bytes,
    report: int,
    door: socket.socket | None,
    begun: socket.socket,
) -> NoReturn:
    try:
        for fd in entrances:
            os.write(fd, b"0")
        for name in NAMESPACES[2:]:
            _join(name, namespaces)
        os.chdir("/")
        with suppress(OSError):  # as in init
            syscalls.new_session_keyring()
        terminal = command.terminal_of_its_own(child.channel()) if spec.terminal else None
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        command.default_signals()
        if not spec.insecure:
            caps.bound()
        command.become(spec, identity(spec.user, command.read), terminal, program, report, door, begun)
    except PybuildError as error:
        command.tell_error(report, error)
    except OSError as error:
        command.tell_error(report, HostError(f"the container cannot be joined: {error}"))
    finally:
        with suppress(OSError):
            begun.send(b"X")
        os._exit(1)
