"""A process of a step becomes its command: limited, filtered, cut to its capabilities, as its user.

Also how it, and process 1, tell what went wrong.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from time import monotonic_ns
from typing import NoReturn

from builder.errors import PybuildError
from builder.linux import syscalls
from builder.linux.paths import read_beginning
from builder.linux.seccomp import load
from builder.linux.users import Identity
from builder.sandbox import caps, elf, limits
from builder.sandbox.frames import FRAME, send_descriptors
from builder.sandbox.oneid.supervisor import enter
from builder.sandbox.order import command_received, rehearse
from builder.sandbox.program import is_own_interpreter
from builder.sandbox.spec import StepSpec


def serve_command(channel: socket.socket, report: int, program: bytes) -> NoReturn:
    """Be a process of a step that becomes a command once it is told which, already under the filter `program`.

    It comes from one that is bounded (caps.bound), if it is to be.
    """
    try:
        close_all_but(channel.fileno(), report)
        default_signals()
        if program:
            load(program)
        rehearse()
        got = command_received(channel)
        if got is None:
            os._exit(1)
        told, stdio, more = got
        for number, fd in enumerate(stdio):
            os.dup2(fd, number)
        terminal = more[0]
        door, begun = (None if fd is None else socket.socket(fileno=fd) for fd in more[1:])
    except OSError as error:
        tell(report, {"error": f"the sandbox cannot be set up: {error}", "kind": "HostError"})
        os._exit(1)
    become(told.spec, told.who, terminal, told.program, report, door, begun, channel if told.timed else None)


def read(path: str, limit: int) -> bytes | None:
    """A regular file of the root; the process is inside it already."""
    try:
        return read_beginning(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), limit)
    except OSError:
        return None


def terminal_of_its_own(caller: socket.socket) -> int:
    """A pseudo terminal of the step's own; its main end goes to the `caller`, its other end is returned."""
    # lazy: only `run -t`
    import fcntl

    unlock, get_peer = 0x40045431, 0x5441  # TIOCSPTLCK, TIOCGPTPEER (ioctl_tty(2))
    main = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(main, unlock, struct.pack("i", 0))
    other = int(fcntl.ioctl(main, get_peer, os.O_RDWR | os.O_NOCTTY))
    send_descriptors(caller, FRAME.pack(b"F", 0), [main])
    os.close(main)
    return other


def tell(report: int, message: dict[str, object]) -> None:
    """Write a JSON line to `report`."""
    os.write(report, json.dumps(message).encode() + b"\n")


def tell_error(report: int, error: PybuildError) -> None:
    """Write an error to `report` as a JSON line."""
    tell(report, {"error": error.message, "kind": type(error).__name__, "hint": error.hint})


def not_begun(begun: socket.socket | None) -> None:
    """Say to `begun`, if it is still open, that no command has begun."""
    if begun is not None:
        with suppress(OSError):
            begun.send(b"X")


def default_signals() -> None:
    """Have signals do to this process what they do to any program. While they are blocked: it is no command yet."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            with suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)


def confine(spec: StepSpec, program: bytes) -> None:
    """Take away what the step must not do, of a process that is bounded (caps.bound) unless the step is insecure.

    The filter first: without no_new_privs loading it is a privilege.
    """
    if spec.no_new_privileges:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    if program:
        load(program)
    if not spec.insecure:
        caps.restrict(spec.dropped)


def become(
    spec: StepSpec,
    who: Identity,
    terminal: int | None,
    program: bytes,
    report: int,
    door: socket.socket | None = None,
    begun: socket.socket | None = None,
    began: socket.socket | None = None,
) -> NoReturn:
    """Become the command of `spec`, as `who`; ends with 126 or 127 when that cannot be (see `run`).

    After `default_signals`, and what `confine` says. To `began` goes when that is.
    """
    status = 127
    try:
        os.setsid()
        if door is not None:
            enter(door, who.groups)
        if terminal is not None:
            _take_terminal(terminal, who)
        close_all_but(report, *(channel.fileno() for channel in (begun, began) if channel is not None))
        os.umask(0o022)
        limits.apply(spec.resources)
        confine(spec, program)
        if door is None:
            os.setgroups(who.groups)
        os.setresgid(who.gid, who.gid, who.gid)
        if spec.insecure:
            syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
        os.setresuid(who.uid, who.uid, who.uid)
        if spec.insecure:
            caps.keep()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        env = dict(spec.env)
        env.setdefault("HOME", who.home or "/")
        if spec.terminal:
            env.setdefault("TERM", "xterm")
        os.chdir(spec.cwd)
        if began is not None:
            began.send(str(monotonic_ns()).encode())
        status = _exec(spec.argv, env)
    except PybuildError as error:
        tell_error(report, error)
    except OSError as error:
        _complain(f"{spec.cwd}: {error.strerror}")
        status = 126
    finally:
        not_begun(begun)
        os._exit(status)


def close_all_but(*kept: int) -> None:
    """Close all descriptors from 3 on but those `kept`, which close by themselves when the command begins."""
    first = 3
    for fd in sorted(kept):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, 65536)


def _take_terminal(terminal: int, who: Identity) -> None:
    # lazy: only `run -t`
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    with suppress(OSError):
        os.fchown(terminal, who.uid, -1)
    for number in (0, 1, 2):
        os.dup2(terminal, number)


def _exec(argv: tuple[str, ...], env: dict[str, str]) -> int:
    """Become the command, found along the PATH of its environment; complains and gives the status when it cannot."""
    name = argv[0]
    along = [os.path.join(d, name) for d in env.get("PATH", "").split(":") if d]
    candidates = [name] if "/" in name else along
    refused: OSError | None = None
    for path in candidates:
        if is_own_interpreter(path):
            refused = OSError(errno.EACCES, "it leads to the program pybuild itself runs in", path)
            break
        try:
            os.execve(path, argv, env)
        except (FileNotFoundError, NotADirectoryError) as error:
            if "/" in name:
                _complain(f"exec: {name!r}: {error.strerror}")
                return 127
        except OSError as error:
            refused = error
    if refused is None:
        _complain(f'exec: "{name}": executable file not found in $PATH')
        return 127
    reason = _not_executable(str(refused.filename)) if refused.errno == errno.ENOEXEC else refused.strerror
    _complain(f"exec: {name!r}: {reason}")
    return 126


def _not_executable(path: str) -> str:
    """What is wrong with a file that the kernel takes for no program (execve(2), ENOEXEC)."""
    start = read(path, 20) or b""
    architecture = elf.architecture(start)
    if architecture is not None:
        return f"Exec format error: it is a program for {architecture}, which nothing runs here"
    return "Exec format error: it is neither a program nor a script that begins with #!"


def _complain(message: str) -> None:
    with suppress(OSError):
        os.write(2, f"{message}\n".encode(errors="surrogateescape"))
    sys.stderr = None
