"""A child of the launcher: takes calls and does them. The second half is for the functions it is to call."""

from __future__ import annotations

import io
import os
import pickle
import select
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic_ns
from typing import NoReturn

from builder import spans
from builder.errors import CanceledError, PybuildError
from builder.sandbox.frames import FRAME, argument, received, send, send_descriptors, send_while

# Tells a child to give up; a real-time signal, so that all ordinary ones can be passed on to a command.
CANCEL = signal.SIGRTMIN
# Tells a child to kill what it runs, which has then ended with SIGKILL like any other command.
KILL = signal.SIGRTMIN + 1
# What a child passes on to the command it runs. They wait, blocked, until it can.
FORWARDED = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGWINCH, signal.SIGCONT, signal.SIGALRM,
)  # fmt: skip
# What a child tells the launcher: its call has its value, and it clears up; it has done so, and waits for another.
ANSWERED, FREE = b"A", b"F"
_channel: socket.socket | None = None
_launcher: socket.socket | None = None
_answered = False
_at_end: list[Callable[[], object]] = []
# What this process was forked with, and is told of by number.
_inherited: Mapping[int, object] = {}


def inherit(values: Mapping[int, object]) -> None:
    """In the launcher: what it has of its parent, see builder.forked."""
    global _inherited
    _inherited = values


def serve(launcher: socket.socket, warm: bytes) -> NoReturn:
    """Be a child: do what `warm` says, then one call that comes through `launcher`, and so again."""
    global _channel, _launcher, _answered
    _launcher = launcher
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, (*FORWARDED, KILL))
        while True:
            if warm:
                with suppress(Exception):  # the call will meet it again, and has somebody to tell
                    _called(warm, 0)
            signal.signal(CANCEL, give_up)
            message, fds = received(launcher)
            if not message:
                break
            with socket.socket(fileno=fds[0]) as _channel:
                _answered = False
                _do_call(_channel, fds[1:])
                if not _answered or not _is_as_before():
                    break
                launcher.send(FREE)
                if not _left(_channel, launcher):
                    break
            while signal.sigtimedwait((*FORWARDED, KILL), 0):
                pass  # they were for that call
    finally:
        with suppress(Exception):
            let_go()
        os._exit(0)


def _do_call(channel: socket.socket, stdio: list[int]) -> None:
    try:
        for number, fd in enumerate(stdio):
            os.dup2(fd, number)
            os.close(fd)
        send(channel, b"P", str(os.getpid()).encode())
        waited = monotonic_ns()
        value = _called(argument(channel), waited)
        if not _answered:
            _reply(channel, b"R", value)
    except BaseException as error:
        if _answered:
            raise
        with suppress(OSError):
            _reply(channel, b"E", _portable(error))


def _reply(channel: socket.socket, kind: bytes, value: object) -> None:
    """Send the call's value or error, and where its time went. The launcher knows: it waits for what comes after.

    Raises OSError where nobody is left to hear it: a caller that closes its launcher need not have heard all calls.
    """
    assert _launcher is not None
    told = pickle.dumps((value, spans.gathered()))
    _launcher.send(ANSWERED)
    send_while(channel, kind, told, _launcher)


def _left(channel: socket.socket, launcher: socket.socket) -> bool:
    """Wait until the caller is through with its call, so that no signal of it comes later; False: it is all over."""
    events = select.poll()
    events.register(channel, select.POLLIN)
    events.register(launcher, 0)  # its end alone
    return launcher.fileno() not in dict(events.poll())


def _is_as_before() -> bool:
    """Whether no child is left of a call; one that has ended does not count.

    One in a process group of its own was made ready for a later call (builder/sandbox/first.py).
    """
    try:
        while os.waitpid(0, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def _called(what: bytes, waited: int) -> object:
    """Do `what`, which this process `waited` for since then, by its monotonic clock."""
    function, args, kwargs, errand = _Unpickler(io.BytesIO(what)).load()
    spans.follow(errand)
    spans.passed("hand-over", waited, monotonic_ns())
    return function(*args, **kwargs)


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, number: int) -> object:
        return _inherited[number]


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


# --- for a call's function ---------------------------------------------------------------------


def send_fd(fd: int) -> None:
    """Hand a descriptor to the caller's `receive_fd`."""
    assert _channel is not None
    send_descriptors(_channel, FRAME.pack(b"F", 0), [fd])


def at_end(end: Callable[[], object]) -> None:
    """Have `end` called when no call comes to this process any more: it takes away what was made ready for one."""
    _at_end.append(end)


def let_go() -> None:
    """Take away what was made ready for another call than this one, which will last. CANCEL waits meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (CANCEL,))
    try:
        while _at_end:
            _at_end.pop()()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def channel() -> socket.socket:
    """Where the caller's `receive_fd` listens, for another process to hand it one."""
    assert _channel is not None
    return _channel


def tell_begun() -> None:
    """Tell the caller's `begun`."""
    assert _channel is not None
    send(_channel, b"B", b"")


def tell_moved(count: int) -> None:
    """Tell the caller's `result` how far the function is. Who does not listen misses it: nobody waits for that."""
    assert _channel is not None
    with suppress(BlockingIOError):
        _channel.send(FRAME.pack(b"M", count), socket.MSG_DONTWAIT)


def answer(value: object) -> None:
    """Give its value now; the caller need not wait for what the function still clears up.

    When the function returns, its process is as it was before: the next call may come to it.
    """
    global _answered
    assert _channel is not None and _launcher is not None
    signal.signal(CANCEL, signal.SIG_IGN)  # clearing up must not be disturbed
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)
    _reply(_channel, b"R", value)
    _answered = True
