"""The process that answers for a step with one ID, and the step's way under its filter.

    run.py's process ──fork──▶ supervisor: outside the step's process namespace, so that no step can end it
          │                        ▲ │
          └──fork──▶ process 1     │ │ answers
                        └─fork─▶ command: installs the filter, sends the listener and its root

The supervisor takes the step's own root and no more capabilities than a step has, but the one to read its memory.
"""

from __future__ import annotations

import array
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from builder.errors import HostError
from builder.linux import syscalls
from builder.linux.calls import machine
from builder.linux.notify import Conditional, Listener, Match, Notification, listen, program
from builder.linux.owners import one_id
from builder.sandbox import caps
from builder.sandbox.oneid.credentials import Credentials, Table
from builder.sandbox.oneid.files import CREATING, PASS, SENT, Answer, Files
from builder.sandbox.oneid.identity import KEEP_CAPABILITIES, Identity
from builder.sandbox.oneid.processes import LOCKS

_SYS_PTRACE = 1 << 19
_MOST_GROUPS = 65536
# Calls told of only with some arguments: when they make a file, and when they are about what is kept in processes.
_CONDITIONS = {
    "open": (1, Match.BITS, CREATING),
    "openat": (2, Match.BITS, CREATING),
    "prctl": (0, Match.EQUAL, KEEP_CAPABILITIES),
    "setrlimit": (0, Match.EQUAL, LOCKS),
    "getrlimit": (0, Match.EQUAL, LOCKS),
    "prlimit64": (1, Match.EQUAL, LOCKS),
}


@contextmanager
def supervised(*, setuid: bool) -> Iterator[socket.socket | None]:
    """A supervisor for one step, as long as the context lasts; gives the door for `enter`.

    None where all IDs are mapped. `setuid`: whether set-user-ID bits of programs mean something.
    """
    if not one_id():
        yield None
        return
    inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = syscalls.fork_tied()
    if pid == 0:
        inside.close()
        _supervise(outside, setuid)
    outside.close()
    try:
        with inside:
            yield inside
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def enter(door: socket.socket, groups: tuple[int, ...]) -> None:
    """Put this process, and all it will become, under the supervisor behind `door`. Raises HostError.

    It is root then, with `groups`: a process that is not dumpable could not have them read by setgroups(2).
    """
    try:
        listener = listen(filter_program())
    except OSError as error:
        raise HostError(
            f"with one ID, a step's calls must be answered by another process, and this kernel refuses: "
            f"{error.strerror}",
            hint="give yourself subordinate IDs, so that it is not needed: usermod --add-subuids 100000-165535 "
            "--add-subgids 100000-165535 USER",
        ) from error
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    door.sendmsg(
        [b"L" + struct.pack(f"={len(groups)}I", *sorted(groups))],
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener, root]))],
    )
    os.close(listener)
    os.close(root)
    if not door.recv(1):
        raise HostError("the process that answers for the step has ended")


def filter_program() -> bytes:
    """The filter of this machine: what it must tell the supervisor of."""
    numbers = machine().numbers
    plain = [number for name, number in numbers.items() if name not in _CONDITIONS and name != "seccomp"]
    conditional = [Conditional(numbers[name], *test) for name, test in _CONDITIONS.items() if name in numbers]
    return program(machine().architecture, plain, conditional)


# --- in the supervisor ---------------------------------------------------------------------------


def _supervise(door: socket.socket, setuid: bool) -> NoReturn:
    try:
        begun = _inside(door)
        if begun is not None:
            listener, groups = begun
            _serve(Listener(listener), Table(Credentials(groups=groups)), setuid)
    finally:
        os._exit(0)


def _inside(door: socket.socket) -> tuple[int, tuple[int, ...]] | None:
    """Wait for the command, take its root; gives the listener and the groups. None when it never came."""
    message, ancillary, _, _ = door.recvmsg(1 + 4 * _MOST_GROUPS, socket.CMSG_SPACE(8))
    if not message:
        return None
    listener, root = array.array("i", ancillary[0][2])
    syscalls.unshare(syscalls.CLONE_NEWNS)  # one of its user namespace: beside an exec it is still the caller's
    processes = syscalls.open_tree("/proc", recursive=True)  # a mount of its own, above which is nothing
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.fchdir(root)
    os.chroot(".")
    os.fchdir(processes)
    held = (caps.DEFAULT | _SYS_PTRACE) & syscalls.permitted_capabilities()
    syscalls.set_capabilities(held, held)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    door.sendall(b"R")
    return listener, tuple(number for (number,) in struct.iter_unpack("=I", message[1:]))


def _serve(listener: Listener, table: Table, setuid: bool) -> None:
    named = {**Identity(table).handlers(), **Files(listener, table, setuid=setuid).handlers()}
    handlers = {number: named[name] for name, number in machine().numbers.items() if name in named}
    while True:
        call = listener.receive()
        if call is not None:
            _answer(listener, handlers[call.number], call)


def _answer(listener: Listener, handler: Answer, call: Notification) -> None:
    try:
        value = handler(call)
    except OSError as error:
        listener.answer(call.identifier, error=error.errno or 5)
        return
    if value == PASS:
        listener.pass_on(call.identifier)
    elif value != SENT:
        listener.answer(call.identifier, value)
