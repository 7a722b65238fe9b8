"""Named test points: nothing happens here in production; tests hang crashes and races on them.

A call `point("blob:renamed")` marks an instant that matters for durability. With
`PYBUILD_POINT=blob:renamed=kill` in the environment the process kills itself there; in-process
tests put a callable into `HOOKS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

HOOKS: dict[str, Callable[[], None]] = {}


def _kill() -> None:
    os.kill(os.getpid(), 9)


def _from_environment(value: str | None) -> None:
    for part in (value or "").split(","):
        name, _, action = part.partition("=")
        if name and action == "kill":
            HOOKS[name] = _kill


_from_environment(os.environ.get("PYBUILD_POINT"))


def point(name: str) -> None:
    """Mark the instant `name` (as `object:event`)."""
    if HOOKS:
        hook = HOOKS.get(name)
        if hook is not None:
            hook()
