"""This process's input, output, terminal and signals in the hands of a sandboxed command."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from builder.runtime import terminal
from builder.sandbox.launcher import Call

T = TypeVar("T")

_PASSED_ON = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip


def attached(
    begin: Callable[[tuple[int, int, int]], Call[T]],
    pass_on: Callable[[Call[Any]], None],
    *,
    interactive: bool,
    own_terminal: bool,
) -> T:
    """Have `begin` start the command with three descriptors, and be its other side until it ends.

    `interactive` gives it this standard input; with `own_terminal` it has a terminal of its own, shown on this one.
    """
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        stdin = 0 if interactive and not own_terminal else null
        call = begin((null, null, null) if own_terminal else (stdin, 1, 2))
    finally:
        os.close(null)
    pass_on(call)
    if own_terminal:
        keys = 0 if interactive else None
        main = call.receive_fd()
        terminal.follow_size(1, main)
        with terminal.raw(keys):
            terminal.pump(main, keys, 1, call)
        os.close(main)
    return call.result()


@contextmanager
def signals() -> Iterator[Callable[[Call[Any]], None]]:
    """Signals this process gets wait until the function given is told of the command, and then go to it.

    What comes when the command has ended is dropped, so that nothing of the container is left behind.

    A Python handler runs between two byte codes of the main thread only: after a signal in the instant before a wait
    began it would run when that wait ended, if ever. So a thread of its own passes them on, told of each by the
    interpreter itself, whatever the main thread waits for (signal.set_wakeup_fd).
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    before = {number: signal.getsignal(number) for number in _PASSED_ON}
    told, teller = socket.socketpair()
    teller.setblocking(False)
    woken = signal.set_wakeup_fd(teller.fileno(), warn_on_full_buffer=False)
    passing: list[threading.Thread] = []

    def pass_on(call: Call[Any]) -> None:
        for number in _PASSED_ON:
            signal.signal(number, _noted)
        passing.append(threading.Thread(target=_pass_on, args=(told, call), daemon=True))
        passing[0].start()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    try:
        yield pass_on
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        teller.close()
        for thread in passing:
            thread.join()
        told.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _noted(number: int, frame: object) -> None:
    """The handler of what is passed on: its number has been written already."""


def _pass_on(told: socket.socket, call: Call[Any]) -> None:
    while numbers := told.recv(64):
        for number in numbers:
            if number in _PASSED_ON:
                call.signal(number)
