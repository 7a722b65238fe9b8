"""The launcher: a small single-threaded process, forked early, in whose children privileged work is done.

    main ──control socket──▶ launcher ──fork──▶ child: waits, then function(*args)
      ▲                      (user namespace      │
      └──────── one socket a call ◀───────────────┘  result, exception, or a descriptor

Never fork from a threaded process: main asks the launcher to. One child always waits, made ready (`Launcher.warm`), so
that a call does not wait for a fork; one whose function has cleared up behind itself (`answer`) waits again. As an
ordinary user the launcher enters a user namespace once, and what its children do to files is done as that namespace's
root. When main goes, by whatever signal, the control socket ends, the launcher exits, and its children die with it.
Functions are sent by reference and arguments as pickles between our own processes; nothing a sandboxed
command says is ever unpickled.
"""

from __future__ import annotations

import io
import os
import pickle
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Generic, ParamSpec, TypeVar

from builder import forked, spans
from builder.errors import CanceledError, HostError, PybuildError
from builder.sandbox import child, children
from builder.sandbox.frames import FRAME, exactly, received, send, send_descriptors
from builder.sandbox.tiers import takes_user_namespace

P = ParamSpec("P")
T = TypeVar("T")

_GRACE_SECONDS = 1.0
# What a function says before it ends: that it has begun, how far it is.
_MEANWHILE = (b"B", b"M")


class Call(Generic[T]):
    """One function running in a child of the launcher. Its methods may be called from any thread."""

    def __init__(self, channel: socket.socket, among: set[Call[Any]]) -> None:
        """`among` are the calls that go on; it adds itself, and takes itself away when it is heard no more."""
        self._channel, self._among = channel, among
        self._canceled = False
        self._killing: threading.Timer | None = None
        self._early: tuple[bytes, bytes] | None = None
        self._lock = threading.RLock()  # a signal handler may come while it is held
        kind, payload = self._frame()
        if kind != b"P":
            channel.close()
            raise HostError("the launcher cannot start a process", hint="are there too many processes?")
        self.pid = int(payload)
        self._pidfd = os.pidfd_open(self.pid)
        among.add(self)

    def result(self, moved: Callable[[int], object] | None = None) -> T:
        """Wait for the function's value; raises what it raised, CanceledError after `cancel`.

        Meanwhile `moved` is told how far it says it is (`tell_moved`).
        """
        try:
            kind, payload = self._frame()
            while kind in _MEANWHILE:
                if kind == b"M" and moved is not None:
                    moved(int(payload))
                kind, payload = self._frame()
        finally:
            self._let_go()
            self._channel.close()  # after that the child may be another call's, and no signal for this one must come
        told: Any = _told(payload) if kind in (b"R", b"E") else None
        if self._canceled:
            raise CanceledError("canceled")
        if kind == b"R":
            value: T = told
            return value
        if kind == b"E":
            raise told
        raise HostError("a worker process was killed", hint="is there enough memory? The kernel's log (dmesg) may tell")

    @property
    def canceled(self) -> bool:
        """Whether it was told to give up: it ends by itself then."""
        return self._canceled

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
            if kind not in _MEANWHILE:
                break
            self._frame()
        return True

    def receive_fd(self) -> int:
        """A descriptor the function sends by `send_fd`, waited for; raises what the function raised instead."""
        message, descriptors = received(self._channel, FRAME.size)
        if message[:1] == b"E":
            payload = exactly(self._channel, FRAME.unpack(message)[1])
            raise _told(payload)
        if not descriptors:
            raise HostError("the sandbox ended before it was ready")
        return descriptors[0]

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
        self.signal(child.CANCEL)
        with self._lock:
            if self._pidfd >= 0 and self._killing is None:
                self._killing = threading.Timer(_GRACE_SECONDS, self.signal, (signal.SIGKILL,))
                self._killing.daemon = True
                self._killing.start()

    def end(self) -> None:
        """Kill the function's process; what it would have said is dropped."""
        self.signal(signal.SIGKILL)
        with suppress(PybuildError, OSError):
            self.result()

    def leave(self) -> None:
        """Let it go on as long as the launcher lives, and hear no more of it."""
        self._let_go()
        self._channel.close()

    def _let_go(self) -> None:
        self._among.discard(self)
        with self._lock:
            pidfd, self._pidfd = self._pidfd, -1
            os.close(pidfd)
            if self._killing is not None:
                self._killing.cancel()

    def _frame(self) -> tuple[bytes, bytes]:
        header = b"" if self._early else exactly(self._channel, FRAME.size)
        if not header:
            return self._early or (b"", b"")
        kind, length = FRAME.unpack(header)
        # How far it is stands in the place of a length: it is sent in one piece, or not at all.
        return (kind, b"%d" % length) if kind == b"M" else (kind, exactly(self._channel, length))

    def fileno(self) -> int:
        """For select(2): readable when `result` need not wait, or `begun`."""
        return self._channel.fileno()


def _told(payload: bytes) -> Any:
    """What a call gave or raised. Takes in where its time went."""
    value, recorded = pickle.loads(payload)
    spans.add(recorded)
    return value


class _Pickler(pickle.Pickler):
    """Tells what the launcher has `inherited` by its number."""

    def __init__(self, file: io.BytesIO, inherited: Mapping[int, object]) -> None:
        super().__init__(file)
        self._inherited = inherited

    def persistent_id(self, value: object) -> int | None:
        return id(value) if id(value) in self._inherited else None


class Launcher:
    """The main process's handle on its launcher; more than one when it is `lent`."""

    def __init__(
        self, control: socket.socket, pid: int, inherited: Mapping[int, object], lender: Launcher | None = None
    ) -> None:
        self._control, self._pid, self._inherited, self._lender = control, pid, inherited, lender
        self._lock: threading.Lock = threading.Lock() if lender is None else lender._lock
        self._calls: set[Call[Any]] = set()
        # Whether it has entered a user namespace; and why that has no IDs but the own one, None where it has more.
        self.in_user_namespace = False
        self.one_id: HostError | None = None

    @classmethod
    def start(cls, preload: tuple[str, ...] = (), *, user_namespace: bool = True, fork: bool = True) -> Launcher:
        """Start a launcher that has imported the modules `preload`.

        Forks while this process has one thread, else, or without `fork`, starts a fresh interpreter. An ordinary user
        without subordinate IDs gets a user namespace with one ID, see `one_id`. Raises HostError when there can be
        none. Without `user_namespace` it stays outside, so that its children may join any.
        """
        apart = user_namespace and takes_user_namespace()
        ours, theirs = socket.socketpair()
        inherited: dict[int, object] = {}
        if fork and threading.active_count() == 1:
            inherited = forked.offered()
            pid = os.fork()
            if pid == 0:
                child.inherit(inherited)
                children.run(theirs, preload, apart)
        else:
            pid = _spawn(theirs, preload, apart)
        theirs.close()
        launcher = cls(ours, pid, inherited)
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
        with spans.span("hand-over"):
            channel = self._ask(b"C", stdio or ())
            # Before the number of the child is waited for: meanwhile that wakes up.
            what = io.BytesIO()
            _Pickler(what, self._inherited).dump((function, args, kwargs, spans.errand()))
            call: Call[T] = Call(channel, self._calls)
            send(channel, b"A", what.getvalue())
        return call

    def warm(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have every child do `function(*args)` while it waits for its call. What that raises is passed over."""
        with self._ask(b"W", ()) as channel:
            send(channel, b"A", pickle.dumps((function, args, kwargs, None)))

    def rest(self) -> None:
        """Have no child wait for calls, as none is expected: those that do end while the caller goes on.

        One that comes all the same waits for a fork; `warm` takes it back.
        """
        with self._ask(b"R", ()):
            pass

    def lent(self) -> Launcher:
        """Another handle on this launcher, for work that is canceled apart from other. To close it ends nothing."""
        other = Launcher(self._control, self._pid, self._inherited, self)
        other.in_user_namespace, other.one_id = self.in_user_namespace, self.one_id
        return other

    def lives(self) -> bool:
        """Whether it has not ended: it says nothing of its own accord, so what can be read is its end."""
        said = select.poll()
        said.register(self._control, select.POLLIN)
        return not said.poll(0)

    def cancel(self) -> None:
        """Cancel the calls that go on, but none that come later: they may be there to clear up. From any thread."""
        for call in list(self._calls):
            call.cancel()

    def close(self) -> None:
        """End the launcher, and with it whatever still runs in it; what has answered may clear up before."""
        if self._lender is not None:
            return
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _ask(self, what: bytes, stdio: tuple[int, ...]) -> socket.socket:
        """Send a request with a new socket's other end; gives this end."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            try:
                send_descriptors(self._control, what, [theirs.fileno(), *stdio])
            except OSError as error:
                raise HostError("the launcher process has ended") from error
        return ours

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


def _spawn(theirs: socket.socket, preload: tuple[str, ...], apart: bool) -> int:
    # lazy: threaded callers only
    import subprocess

    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"import socket\nfrom builder.sandbox.children import run\n"
        f"run(socket.socket(fileno={theirs.fileno()}), {preload!r}, {apart})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()])
    process.returncode = 0  # close() waits for it; Popen must not complain that nobody did
    return process.pid
