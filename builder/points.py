"""Named test points: nothing happens here in production; tests hang crashes, failing disks and races on them.

A call `point("blob:renamed")` marks an instant that matters for durability. In-process tests put a callable into
`HOOKS`. With `PYBUILD_POINT=blob:renamed=kill` in the environment the process kills itself there; with
`blob:written=ENOSPC` (or EIO, EROFS, any name of errno(3)) the disk fails there. `@3` after it means the third time
that a process comes by, and only then; several are separated by commas. With `step:missed=wait:PATH` the process says
that it is there by opening the FIFO at PATH to write, and goes on when it was opened to write by someone else.
"""

from __future__ import annotations

import os
from collections.abc import Callable

_WAIT = "wait:"
HOOKS: dict[str, Callable[[], None]] = {}


def _hook(action: str, time: int) -> Callable[[], None]:
    passed = 0

    def hook() -> None:
        nonlocal passed
        passed += 1
        if time and passed != time:
            return
        if action == "kill":
            os.kill(os.getpid(), 9)
        if action.startswith(_WAIT):
            for flags in (os.O_WRONLY, os.O_RDONLY):  # each opening waits for the other side's
                os.close(os.open(action.removeprefix(_WAIT), flags))
            return
        # lazy: tests only
        import errno

        number = getattr(errno, action)
        raise OSError(number, os.strerror(number))

    return hook


def _from_environment(value: str | None) -> None:
    for part in (value or "").split(","):
        name, _, action = part.partition("=")
        action, _, time = action.partition("@")
        if name and action:
            HOOKS[name] = _hook(action, int(time or 0))


_from_environment(os.environ.get("PYBUILD_POINT"))


def point(name: str) -> None:
    """Mark the instant `name` (as `object:event`)."""
    if HOOKS:
        hook = HOOKS.get(name)
        if hook is not None:
            hook()
