"""In a launcher's child: makes a step's network (see programs.py) and holds it as long as the child lives.

    child ── pid namespace: keeper (process 1) ── outer program
      └ in the step's network namespace     └──── inner program, in the middle namespace

When the child ends, however it does, the keeper is killed, and with it all of its pid namespace: neither program can
stay behind, whatever it has made of itself.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from typing import NoReturn

from builder.errors import HostError
from builder.linux import syscalls
from builder.sandbox import child
from builder.sandbox.network.programs import READY, Link, Program

# The slower of the known programs needs a tenth of a second on an idle machine.
START_SECONDS = 5.0
_COMPLAINT = 400


def hold(program: Program) -> None:
    """Hold a network made by `program`: sends a descriptor of its namespace when it works.

    From then on it is the one of this process too. Returns when one of the programs has ended; raises HostError when
    they cannot be started within START_SECONDS, saying why.
    """
    child.let_go()
    bare = [_namespace(), _namespace()]
    middle, inner = (os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC) for pid in bare)
    log = os.memfd_create("network")
    reader, writer = os.pipe2(os.O_CLOEXEC)
    keeper = syscalls.fork_tied(syscalls.CLONE_NEWPID)
    if keeper == 0:
        _keep(program, bare, middle, writer, log)
    os.close(writer)
    try:
        if not select.select([reader], [], [], START_SECONDS)[0]:
            raise HostError(f"{program.name} did not start within {START_SECONDS:.0f} seconds")
        if os.read(reader, 1) != b"1":
            raise HostError(f"{program.name} cannot start: {_complaint(log)}")
        syscalls.setns(inner, syscalls.CLONE_NEWNET)
        child.send_fd(inner)
        for pid in bare:
            _end(pid)
        os.waitpid(keeper, 0)
    finally:
        for pid in (keeper, *bare):
            _end(pid)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _complaint(log: int) -> str:
    text = os.pread(log, 1 << 16, 0).decode(errors="replace").strip()
    return " ".join(text[-_COMPLAINT:].split()) or "it says nothing"


# --- in children of the child --------------------------------------------------------------------


def _namespace() -> int:
    """A process that does nothing in a new network namespace: the programs are shown it by this process's number."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = syscalls.fork_tied()
    if pid == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNET)
            syscalls.bring_loopback_up()
            syscalls.set_capabilities(0, 0)
            os.write(writer, b"1")
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    made = os.read(reader, 1)
    os.close(reader)
    if not made:
        os.waitpid(pid, 0)
        raise HostError("network namespaces are not allowed here")
    return pid


def _keep(program: Program, bare: list[int], middle: int, writer: int, log: int) -> NoReturn:
    """Be process 1 of the programs: start them, say so, and end when one of them does."""
    try:
        _start(program, program.command(Link.OUTER, bare[0]), None, log)
        _start(program, program.command(Link.INNER, bare[1]), middle, log)
        os.write(writer, b"1")  # fails when nobody waits any more
        os.wait()
    finally:
        os._exit(1)


def _start(program: Program, command: list[str], namespace: int | None, log: int) -> None:
    """Start one program and wait until it is ready; in `namespace` if given. Raises OSError when it ends instead."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _become(command, namespace, writer, log)
    os.close(writer)
    ready = os.waitpid(pid, 0)[1] == 0 if program.daemonizes else os.read(reader, 1) == b"1"
    os.close(reader)
    if not ready:
        raise OSError(f"{program.name} ended")


def _become(command: list[str], namespace: int | None, ready: int, log: int) -> NoReturn:
    try:
        if namespace is not None:
            syscalls.setns(namespace, syscalls.CLONE_NEWNET)
        null = os.open("/dev/null", os.O_RDWR)
        for number, fd in enumerate((null, log, log, ready)):
            os.dup2(fd, number)
        os.closerange(READY + 1, 65536)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            with suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)  # pasta gives up when it inherits an ignored SIGPIPE
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execv(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)
