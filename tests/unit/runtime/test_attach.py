"""Signals on their way to a command."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.runtime.attach import attached, signals

# In seconds: until what never comes is called lost.
PATIENCE = 20


class Waiting:
    """A command that ends by the first signal it is sent, waited for in the kernel."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        # The socket's own limit: with one of Python's, the wait would return to Python now and then.
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", PATIENCE, 0))

    def signal(self, number: int) -> None:
        self._theirs.send(bytes([number]))

    def result(self) -> int:
        return self._ours.recv(1)[0]

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


@pytest.fixture
def command() -> Iterator[Any]:
    waiting = Waiting()
    yield waiting
    waiting.close()


def _asleep(thread: int) -> bool:
    return Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda s: s.name)
def test_a_signal_that_does_not_end_the_wait_is_passed_on(command: Any, number: signal.Signals) -> None:
    """As in the instant before a wait begins: the interpreter has seen it, the wait has not."""
    main = threading.get_native_id()

    def beside() -> None:
        deadline = time.monotonic() + PATIENCE
        while not _asleep(main) and time.monotonic() < deadline:
            time.sleep(0.01)
        # The kernel interrupts the thread it gives a signal to, and this is not the one that waits.
        signal.pthread_kill(threading.get_ident(), number)

    other = threading.Thread(target=beside)
    with signals() as pass_on:

        def begin(stdio: tuple[int, int, int]) -> Any:
            return command

        def pass_on_and_send(call: Any) -> None:
            pass_on(call)
            other.start()

        assert attached(begin, pass_on_and_send, interactive=False, own_terminal=False) == number
    other.join()


def test_a_signal_before_the_command_waits_for_it(command: Any) -> None:
    with signals() as pass_on:
        # To this thread: one sent to the process goes to whichever of its threads does not block it.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        pass_on(command)
        assert command.result() == signal.SIGTERM


def test_all_is_as_before_afterwards(command: Any) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers], signal.pthread_sigmask(signal.SIG_BLOCK, [])
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    with signals() as pass_on:
        pass_on(command)
    assert ([signal.getsignal(number) for number in numbers], signal.pthread_sigmask(signal.SIG_BLOCK, [])) == before
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == (threads, descriptors)
    assert signal.set_wakeup_fd(-1) == -1
