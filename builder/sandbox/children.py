"""The launcher itself: a process that forks children and gives each its call."""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NoReturn

from builder.linux import syscalls
from builder.linux.ids import map_own
from builder.sandbox import child
from builder.sandbox.frames import argument, received, send, send_descriptors

_owns_user_namespace = False


def owns_user_namespace() -> bool:
    """In a call's function: whether the launcher has made its user namespace, so that no other program is in it."""
    return _owns_user_namespace


def run(control: socket.socket, preload: tuple[str, ...], apart: bool) -> NoReturn:
    """Be the launcher behind the socket `control`; `apart`: in a user namespace of its own. Imports `preload` first."""
    status = 1
    try:
        _alone(control.fileno())
        if not apart or _enter_user_namespace(control):
            for module in preload:
                __import__(module)
            gc.freeze()
            _Children(control).serve()
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


class _Child:
    """One child: it `waits` for a call `since` then, has one, or is clearing up after one that is `answered`.

    `kept` are descriptors that are the launcher's alone. Raises OSError when there can be none.
    """

    def __init__(self, kept: Iterable[int], warm: bytes) -> None:
        self.channel, theirs = socket.socketpair()
        self.waits, self.answered, self.since = True, False, time.monotonic()
        with theirs:
            self.pid = syscalls.fork_tied()
            if self.pid == 0:
                for fd in kept:
                    os.close(fd)
                self.channel.close()
                child.serve(theirs, warm)

    def give(self, fds: list[int]) -> None:
        """Hand a call on to it. Raises OSError when somebody has killed it."""
        send_descriptors(self.channel, b"C", fds)
        self.waits = self.answered = False

    def heard(self) -> bool:
        """Take in what it says; False when it has ended."""
        try:
            told = self.channel.recv(1)
        except OSError:
            told = b""
        if told:
            self.answered, self.waits = self.answered or told == child.ANSWERED, told == child.FREE
            self.since = time.monotonic()
        return bool(told)

    def end(self) -> bool:
        """Have it end, unless it has a call that goes on; says whether it will."""
        if self.waits or self.answered:
            self.channel.close()
            return True
        return False


class _Children:
    """All children of the launcher, one of which at least waits, after it has done what `warm` says.

    `resting`: none is forked that would wait. `leaving` are those that were told to end.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control, self._warm = control, b""
        self._all: list[_Child] = []
        self._leaving: list[_Child] = []
        self._dying = self._resting = False

    def serve(self) -> None:
        """Give each request to a child, until the main process goes."""
        while True:
            # One that is clearing up will wait in an instant. Where they die while they wait, none is forked ahead.
            if not (self._dying or self._resting or any(each.waits or each.answered for each in self._all)):
                self._fork()
            wanted = select.poll()
            for source in (self._control, *(each.channel for each in self._all)):
                wanted.register(source, select.POLLIN)
            ready = {fd for fd, _ in wanted.poll()}
            gone = [each for each in self._all if each.channel.fileno() in ready and not each.heard()]
            self._dying = self._dying or any(each.waits for each in gone)
            self._all = [each for each in self._all if each not in gone]
            if self._control.fileno() in ready and not self._request():
                return

    def _request(self) -> bool:
        message, fds = received(self._control)
        if not message:
            self._leave(self._all)
            self._end()
            return False
        with socket.socket(fileno=fds[0]) as channel:
            if message == b"W":
                self._warm, self._resting = argument(channel), False
                self._leave(self._waiting())
                self._end()
            elif message == b"R":
                self._resting = True
                self._leave(self._all)
            elif not self._given(fds):
                send(channel, b"N", b"")
        for fd in fds[1:]:
            os.close(fd)
        return True

    def _given(self, fds: list[int]) -> bool:
        if not self._waiting():
            self._fork(fds)
        for each in self._waiting():
            with suppress(OSError):
                each.give(fds)
                return True
            self._all.remove(each)
        return False

    def _waiting(self) -> list[_Child]:
        """Those that wait; the longest first, which have been made ready meanwhile."""
        return sorted((each for each in self._all if each.waits), key=lambda each: each.since)

    def _fork(self, handed: Iterable[int] = ()) -> None:
        """One more child. What is being `handed` on must not stay open in one that was not called."""
        kept = (self._control.fileno(), *(each.channel.fileno() for each in self._all), *handed)
        with suppress(OSError):  # the call that needs it will tell
            self._all.append(_Child(kept, b"" if self._resting else self._warm))

    def _leave(self, children: list[_Child]) -> None:
        """Have those of `children` end that do nothing more than wait or clear up."""
        leaving = [each for each in children if each.end()]
        self._leaving += leaving
        self._all = [each for each in self._all if each not in leaving]

    def _end(self) -> None:
        """Wait until those that leave have ended."""
        while self._leaving:
            with suppress(ChildProcessError):  # as SIGCHLD is ignored, this is how waiting for it ends
                os.waitpid(self._leaving.pop().pid, 0)
