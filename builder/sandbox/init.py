"""Process 1 of a step: sets the step up from inside its namespaces, starts the command, reaps, forwards.

Top to bottom in the order of things: control group → mounts → pivot_root → hostname → command, which is limited,
filtered and cut to its capabilities before it becomes the user's program.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic_ns
from typing import NoReturn

from builder import spans
from builder.errors import HostError, PybuildError
from builder.linux import syscalls
from builder.linux.seccomp import load
from builder.linux.users import Identity, identity
from builder.sandbox import caps, child, elf, limits
from builder.sandbox.oneid.supervisor import enter
from builder.sandbox.ops import plan
from builder.sandbox.program import is_own_interpreter
from builder.sandbox.running import hand_out
from builder.sandbox.spec import Namespace, Network, StepSpec

# What the step sees of its process 1, and a command that joins it until it is one.
NAME = "pybuild-init"
# A line that tells when the command began, in nanoseconds of CLOCK_MONOTONIC, where somebody wants to know.
BEGAN = "began"
_SELF_SENT = {signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU}


def run(
    spec: StepSpec,
    root: str,
    report: int,
    program: bytes,
    entrances: Sequence[int],
    door: socket.socket | None,
    begun: socket.socket | None,
) -> NoReturn:
    """Be process 1 of `spec` in `root`; the first JSON line it writes to `report` counts: {"status": n} or an error;
    BEGAN may come before.

    `program` is the seccomp filter, empty for none; `entrances` are descriptors of the control groups to enter.
    `door` leads to the supervisor of a step with one ID. To `begun` go its namespaces; then it closes when the command
    begins, or is told that it could not.
    """
    try:
        syscalls.show_as(NAME)  # what the user wrote to have it started is not the step's to read
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        for fd in entrances:
            os.write(fd, b"0")
        _set_up(spec, root, begun)
        terminal = terminal_of_its_own() if spec.terminal else None
        who = identity(spec.user, read)
        command = os.fork()
        if command == 0:
            become(spec, who, terminal, program, report, door, begun)
        if begun is not None:
            begun.close()
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        _confine(spec, b"")  # it makes few calls, and nobody can have it make others
        if terminal is not None:
            os.close(terminal)
        _tell(report, {"status": _reap(command)})
    except PybuildError as error:
        tell_error(report, error)
    except OSError as error:
        _tell(report, {"error": f"the sandbox cannot be set up: {error}", "kind": "HostError"})
    finally:
        _not_begun(begun)
        os._exit(0)


def _not_begun(begun: socket.socket | None) -> None:
    if begun is not None:
        with suppress(OSError):
            begun.send(b"X")


def _tell(report: int, message: dict[str, object]) -> None:
    os.write(report, json.dumps(message).encode() + b"\n")


def tell_error(report: int, error: PybuildError) -> None:
    """Write an error to `report` as a JSON line."""
    _tell(report, {"error": error.message, "kind": type(error).__name__, "hint": error.hint})


def _set_up(spec: StepSpec, root: str, begun: socket.socket | None) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWCGROUP)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    if spec.namespace is not None:
        _join(spec.namespace)
    if begun is not None:
        hand_out(begun)
    if spec.network is Network.NONE:
        syscalls.bring_loopback_up()
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for op in plan(spec):
        try:
            op.apply(fd)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror} ({op.describe()})", error.filename) from error
    os.fchdir(fd)
    os.close(fd)
    # pivot_root(2), NOTES: with both on the same directory the old root ends up on top and can be detached
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")
    syscalls.sethostname(spec.hostname)
    with suppress(OSError):  # a kernel without keyrings, or a quota used up: nothing to separate then
        syscalls.new_session_keyring()


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


def read(path: str, limit: int) -> bytes | None:
    """A regular file of the root; the process is inside it already."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        try:
            return file.read(limit)
        except OSError:
            return None


def terminal_of_its_own() -> int:
    """A pseudo terminal of the step's own; its main end goes to the caller, its other end is returned."""
    # lazy: only `run -t`
    import fcntl
    import struct

    unlock, get_peer = 0x40045431, 0x5441  # TIOCSPTLCK, TIOCGPTPEER (ioctl_tty(2))
    main = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(main, unlock, struct.pack("i", 0))
    other = int(fcntl.ioctl(main, get_peer, os.O_RDWR | os.O_NOCTTY))
    child.send_fd(main)
    os.close(main)
    return other


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


def _confine(spec: StepSpec, program: bytes) -> None:
    """Take away what the step must not do. The filter first: without no_new_privs loading it is a privilege."""
    if spec.no_new_privileges:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    if program:
        load(program)
    if not spec.insecure:
        caps.restrict()


# --- the command ---------------------------------------------------------------------------------


def become(
    spec: StepSpec,
    who: Identity,
    terminal: int | None,
    program: bytes,
    report: int,
    door: socket.socket | None = None,
    begun: socket.socket | None = None,
) -> NoReturn:
    """Become the command of `spec`, as `who`; ends with 126 or 127 when that cannot be (see `run`)."""
    status = 127
    try:
        os.setsid()
        if door is not None:
            enter(door, who.groups)
        if terminal is not None:
            _take_terminal(terminal, who)
        _close_all_but(report, *(() if begun is None else (begun.fileno(),)))
        os.umask(0o022)
        limits.apply(spec.resources)
        _confine(spec, program)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            if signal.getsignal(number) is not signal.SIG_DFL:
                with suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_DFL)
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
        if spans.recording():
            _tell(report, {BEGAN: monotonic_ns()})
        status = _exec(spec.argv, env)
    except PybuildError as error:
        tell_error(report, error)
    except OSError as error:
        _complain(f"{spec.cwd}: {error.strerror}")
        status = 126
    finally:
        _not_begun(begun)
        os._exit(status)


def _close_all_but(*kept: int) -> None:
    """Those kept close by themselves when the command begins."""
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
