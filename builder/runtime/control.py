"""Signals to a container that runs, and its end."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

from builder.errors import HostError, UsageError
from builder.runtime.config import kept
from builder.runtime.containers import Container, Containers
from builder.sandbox import child
from builder.sandbox.running import Process, Running

# Until a container that was killed has been cleared away, on a machine that has much else to do.
_CLEARING_SECONDS = 60
_REALTIME = re.compile(r"RTMIN\+(\d{1,2})")


def signal_number(text: str) -> int:
    """A signal by its name, with or without SIG, or its number. Raises UsageError."""
    name = text.upper().removeprefix("SIG")
    realtime = _REALTIME.fullmatch(name)
    if realtime is not None:
        number = signal.SIGRTMIN + int(realtime[1])
    elif name.isascii() and name.isdigit():
        number = int(name[:9])
    else:
        number = next((s for s in signal.valid_signals() if name and _name(s) == name), 0)
    if number not in signal.valid_signals():
        raise UsageError(f"{text} is not a signal", hint="for example SIGTERM or 15")
    return number


def _name(number: int) -> str:
    return number.name.removeprefix("SIG") if isinstance(number, signal.Signals) else ""


def running(root: Path, container: Container) -> Running:
    """The processes of a container. Raises UsageError when it does not run."""
    containers = Containers(root)
    begun = containers.begun(container) if containers.running(container) else None
    if begun is None:
        raise UsageError(f"container {container.name} is not running", hint=f"pybuild start {container.name}")
    return begun.running


def send(root: Path, container: Container, number: int) -> None:
    """Send a signal to a container's command. Raises UsageError when it does not run."""
    found = running(root, container)
    if number == signal.SIGKILL:
        _send(found.keeper, child.KILL)
    else:
        _send(found.first, number)


def _send(process: Process, number: int) -> None:
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return  # it has just ended
    try:
        if process.lives():
            signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise HostError("the container belongs to another user") from None
    finally:
        os.close(fd)


def stop(root: Path, container: Container, seconds: float) -> None:
    """End a container: by its image's signal or SIGTERM, and by SIGKILL `seconds` later (never when negative).

    One that has ended stays as it is.
    """
    containers = Containers(root)
    if not containers.running(container):
        return
    config = kept(containers.path(container))
    send(root, container, signal_number(config.stop_signal or "TERM"))
    if containers.wait(container, None if seconds < 0 else seconds) is None:
        kill(root, container)


def kill(root: Path, container: Container) -> None:
    """End a container by SIGKILL, and wait until it has ended."""
    containers = Containers(root)
    if containers.running(container):
        with suppress(UsageError):  # ended meanwhile, or not begun
            send(root, container, signal.SIGKILL)
        if containers.wait(container, _CLEARING_SECONDS) is None:
            raise HostError(f"container {container.name} was killed, but does not end")
