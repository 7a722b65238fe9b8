"""The launcher: a small single-threaded process, forked early, in whose children privileged work is done.

    main ──control socket──▶ launcher ──fork──▶ child: function(*args)
      ▲                      (user namespace      │
      └──────── one socket a call ◀───────────────┘  result, exception, or a descriptor

Never fork from a threaded process: main asks the launcher to. As an ordinary user the launcher enters a
user namespace once, and what its children do to files is done as that namespace's root. When main
goes, by whatever signal, the control socket ends, the launcher exits, and its children die with it.
Functions are sent by reference and arguments as pickles between our own processes; nothing a sandboxed
command says is ever unpickled.
"""

from __future__ import annotations

import array
import gc
import os
import pickle
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, ParamSpec, TypeVar

from builder.errors import CanceledError, HostError, PybuildError
from builder.linux import syscalls
from builder.linux.ids import map_own
from builder.sandbox.tiers import takes_user_namespace

P = ParamSpec("P")
T = TypeVar("T")

# Tells a child to give up; a real-time signal, so that all ordinary ones can be passed on to a command.
CANCEL = signal.SIGRTMIN
# Tells a child to kill what it runs, which has then ended with SIGKILL like any other command.
KILL = signal.SIGRTMIN + 1
# What a child passes on to the command it runs. They wait, blocked, until it can.
FORWARDED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGWINCH, signal.SIGCONT, signal.SIGALRM,
)  # fmt: skip
_GRACE_SECONDS = 1.0
_FRAME = struct.Struct("!cQ")
_channel: socket.socket | None = None
_owns_user_namespace = False


class Call(Generic[T]):
    """One function running in a child of the launcher. Its methods may be called from any thread."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._canceled = False
        self._early: tuple[bytes, bytes] | None = None
        self._lock = threading.RLock()  # a signal handler may come while it is held
        kind, payload = self._frame()
        if kind != b"P":
            raise HostError("the launcher cannot start a process", hint="are there too many processes?")
        self.pid = int(payload)
        self._pidfd = os.pidfd_open(self.pid)

    def result(self) -> T:
        """Wait for the function's value; raises what it raised, CanceledError after `cancel`."""
        try:
            kind, payload = self._frame()
            while kind == b"B":
                kind, payload = self._frame()
        finally:
            self._channel.close()
            with self._lock:
                pidfd, self._pidfd = self._pidfd, -1
                os.close(pidfd)
        if self._canceled:
            raise CanceledError("canceled")
        if kind == b"R":
            value: T = pickle.loads(payload)
            return value
        if kind == b"E":
            raise pickle.loads(payload)
        raise HostError("a worker process was killed", hint="is there enough memory? The kernel's log (dmesg) may tell")

    def begun(self) -> bool:
        """Wait until the function says `tell_begun`; False when it has ended without, see `result`."""
        frame = self._frame()
        self._early = None if frame[0] == b"B" else frame
        return self._early is None

    def ended(self) -> bool:
        """Whether `result` need not wait."""
        while self._early is None:
            try:
                kind = self._channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            if kind != b"B":
                break
            self._frame()
        return True

    def receive_fd(self) -> int:
        """A descriptor the function sends by `send_fd`, waited for; raises what the function raised instead."""
        message, ancillary, _, _ = self._channel.recvmsg(_FRAME.size, socket.CMSG_SPACE(4))
        if message[:1] == b"E":
            payload = _exactly(self._channel, _FRAME.unpack(message)[1])
            raise pickle.loads(payload)
        if not ancillary:
            raise HostError("the sandbox ended before it was ready")
        return array.array("i", ancillary[0][2])[0]

    def signal(self, number: int) -> None:
        """Pass a signal on to the sandboxed command."""
        with self._lock, suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)

    def running(self) -> bool:
        """Whether the function has not ended yet."""
        if self._pidfd < 0:
            return False
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        return not ended.poll(0)

    def cancel(self) -> None:
        """Have the function give up: at once, and by SIGKILL when a second was not enough."""
        self._canceled = True
        self.signal(CANCEL)
        timer = threading.Timer(_GRACE_SECONDS, self.signal, (signal.SIGKILL,))
        timer.daemon = True
        timer.start()

    def end(self) -> None:
        """Kill the function's process; what it would have said is dropped."""
        self.signal(signal.SIGKILL)
        with suppress(PybuildError, OSError):
            self.result()

    def _frame(self) -> tuple[bytes, bytes]:
        header = b"" if self._early else _exactly(self._channel, _FRAME.size)
        if not header:
            return self._early or (b"", b"")
        kind, length = _FRAME.unpack(header)
        return kind, _exactly(self._channel, length)

    def fileno(self) -> int:
        """For select(2): readable when `result` need not wait, or `begun`."""
        return self._channel.fileno()


class Launcher:
    """The main process's handle on its launcher."""

    def __init__(self, control: socket.socket, pid: int) -> None:
        self._control, self._pid = control, pid
        self._lock = threading.Lock()
        # Whether it has entered a user namespace; and why that has no IDs but the own one, None where it has more.
        self.in_user_namespace = False
        self.one_id: HostError | None = None

    @classmethod
    def start(cls, preload: tuple[str, ...] = (), *, user_namespace: bool = True) -> Launcher:
        """Start a launcher that has imported the modules `preload`.

        Forks while this process has one thread, else starts a fresh interpreter. An ordinary user without
        subordinate IDs gets a user namespace with one ID, see `one_id`. Raises HostError when there can be none.
        Without `user_namespace` it stays outside, so that its children may join any.
        """
        apart = user_namespace and takes_user_namespace()
        ours, theirs = socket.socketpair()
        if threading.active_count() == 1:
            pid = os.fork()
            if pid == 0:
                _in_launcher(theirs, preload, apart)
        else:
            pid = _spawn(theirs, preload, apart)
        theirs.close()
        launcher = cls(ours, pid)
        try:
            if apart:
                launcher._map_ids()
        except BaseException:
            launcher.close()
            raise
        return launcher

    def call(
        self, function: Callable[P, T], stdio: tuple[int, int, int] | None, *args: P.args, **kwargs: P.kwargs
    ) -> Call[T]:
        """Begin `function(*args)` in a child. `stdio` are its descriptors 0 to 2; None: /dev/null.

        `function` must be importable by name, its arguments and value must pickle.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = array.array("i", [theirs.fileno(), *(stdio or ())])
            with self._lock:
                try:
                    self._control.sendmsg([b"C"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
                except OSError as error:
                    raise HostError("the launcher process has ended") from error
        call: Call[T] = Call(ours)
        _send(ours, b"A", pickle.dumps((function, args, kwargs)))
        return call

    def close(self) -> None:
        """End the launcher and with it whatever still runs in it."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _map_ids(self) -> None:
        # lazy: user namespaces only
        from builder.sandbox.facts import refused
        from builder.sandbox.mapping import map_ranges

        if self._control.recv(1) != b"U":
            raise refused("user namespace", "it cannot be made")
        self.in_user_namespace = True
        self.one_id = map_ranges(self._pid)
        if self.one_id is None:
            self._control.sendall(b"M")
            return
        self._control.sendall(b"1")
        if self._control.recv(1) != b"1":
            raise refused("user namespace", "no ID can be mapped in it")


def send_fd(fd: int) -> None:
    """In a call's function: hand a descriptor to the caller's `receive_fd`."""
    assert _channel is not None
    rights = array.array("i", [fd])
    _channel.sendmsg([_FRAME.pack(b"F", 0)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def tell_begun() -> None:
    """In a call's function: what the caller's `begun` waits for."""
    assert _channel is not None
    _send(_channel, b"B", b"")


def owns_user_namespace() -> bool:
    """In a call's function: whether the launcher has made its user namespace, so that no other program is in it."""
    return _owns_user_namespace


# --- in the launcher -----------------------------------------------------------------------------


def _spawn(theirs: socket.socket, preload: tuple[str, ...], apart: bool) -> int:
    # lazy: threaded callers only
    import subprocess

    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"import socket\nfrom builder.sandbox.launcher import _in_launcher\n"
        f"_in_launcher(socket.socket(fileno={theirs.fileno()}), {preload!r}, {apart})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()])
    process.returncode = 0  # close() waits for it; Popen must not complain that nobody did
    return process.pid


def _in_launcher(control: socket.socket, preload: tuple[str, ...], apart: bool) -> None:
    """Never returns."""
    status = 1
    try:
        _alone(control.fileno())
        if not apart or _enter_user_namespace(control):
            for module in preload:
                __import__(module)
            gc.freeze()
            _serve(control)
        status = 0
    finally:
        os._exit(status)


def _alone(kept: int) -> None:
    """Cut what ties this process to the terminal and the files of the one it was forked from."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, kept)
    os.closerange(kept + 1, 65536 if kept < 65535 else kept + 2)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN if number != signal.SIGTERM else signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.umask(0)


def _enter_user_namespace(control: socket.socket) -> bool:
    global _owns_user_namespace
    uid, gid = os.geteuid(), os.getegid()
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    except OSError:
        control.sendall(b"N")
        return False
    control.sendall(b"U")
    mapped = control.recv(1)
    if mapped == b"1":
        try:
            map_own(uid, gid)
        except OSError:
            control.sendall(b"N")
            return False
        control.sendall(b"1")
    elif mapped != b"M":
        return False
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    if mapped == b"M":
        os.setgroups([])  # with one ID it is denied for good
    _owns_user_namespace = True
    return True


def _serve(control: socket.socket) -> None:
    """Fork a child for each request until the main process goes."""
    while True:
        message, ancillary, _, _ = control.recvmsg(1, socket.CMSG_SPACE(16))
        if not message:
            return
        fds = array.array("i")
        fds.frombytes(ancillary[0][2])
        with socket.socket(fileno=fds[0]) as channel:
            try:
                pid = os.fork()
            except OSError:
                _send(channel, b"N", b"")
            else:
                if pid == 0:
                    control.close()
                    _in_child(channel, list(fds[1:]))
        for fd in fds[1:]:
            os.close(fd)


# --- in a child ----------------------------------------------------------------------------------


def _in_child(channel: socket.socket, stdio: list[int]) -> None:
    """Never returns."""
    global _channel
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(CANCEL, give_up)
        signal.pthread_sigmask(signal.SIG_BLOCK, (*FORWARDED, KILL))
        for number, fd in enumerate(stdio):
            os.dup2(fd, number)
            os.close(fd)
        _channel = channel
        _send(channel, b"P", str(os.getpid()).encode())
        _, length = _FRAME.unpack(_exactly(channel, _FRAME.size))
        function, args, kwargs = pickle.loads(_exactly(channel, length))
        _send(channel, b"R", pickle.dumps(function(*args, **kwargs)))
    except BaseException as error:
        with suppress(OSError):
            _send(channel, b"E", pickle.dumps(_portable(error)))
    finally:
        os._exit(0)


def give_up(number: int, frame: object) -> None:
    """What CANCEL does: raises CanceledError."""
    signal.signal(CANCEL, signal.SIG_IGN)  # once: another must not disturb the clearing away
    raise CanceledError("canceled")


def _portable(error: BaseException) -> BaseException:
    """`error` as something that surely unpickles on the other side."""
    if isinstance(error, PybuildError | OSError):
        return error
    # lazy: only a bug needs it
    import traceback

    return RuntimeError("".join(traceback.format_exception(error)))


def _send(channel: socket.socket, kind: bytes, payload: bytes) -> None:
    channel.sendall(_FRAME.pack(kind, len(payload)) + payload)


def _exactly(channel: socket.socket, length: int) -> bytes:
    """`length` bytes; empty when the other side has gone."""
    parts: list[bytes] = []
    while length:
        part = channel.recv(min(length, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
