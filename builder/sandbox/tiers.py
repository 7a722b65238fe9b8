"""The tiers of isolation, best first, and the one a user asks for by PYBUILD_TIER."""

from __future__ import annotations

import os
from enum import IntEnum

from builder.errors import UsageError
from builder.linux import syscalls

# What PYBUILD_TIER may say: no namespace of users, one with ranges of IDs, one with a single ID.
ROOT, RANGES, ONE_ID = "root", "ranges", "one-id"
_CAP_SYS_ADMIN = 21


class Tier(IntEnum):
    """How steps are isolated."""

    ROOT = 1
    RANGES = 2
    ONE_ID = 3
    NONE = 4


def chosen() -> str:
    """What PYBUILD_TIER says, empty for nothing. Raises UsageError for what it cannot say."""
    wanted = os.environ.get("PYBUILD_TIER", "")
    if wanted not in ("", ROOT, RANGES, ONE_ID):
        raise UsageError(f"PYBUILD_TIER is {wanted!r}", hint=f"use {ROOT}, {RANGES} or {ONE_ID}")
    if wanted == ROOT and not is_admin():
        raise UsageError(f"PYBUILD_TIER is {ROOT}, but this process is not root with CAP_SYS_ADMIN", hint="unset it")
    return wanted


def shares_proc() -> bool:
    """Whether steps may be shown the /proc this process has, where no new one can be mounted (PYBUILD_PROC).

    Raises UsageError for what that variable cannot say.
    """
    wanted = os.environ.get("PYBUILD_PROC", "")
    if wanted not in ("", "new", "shared"):
        raise UsageError(f"PYBUILD_PROC is {wanted!r}", hint="use new or shared")
    return wanted == "shared"


def is_admin() -> bool:
    """Whether this process is root with the capability that namespaces need (capabilities(7), CAP_SYS_ADMIN)."""
    return os.geteuid() == 0 and bool(syscalls.permitted_capabilities() >> _CAP_SYS_ADMIN & 1)


def takes_user_namespace() -> bool:
    """Whether steps of this process run in a user namespace: whoever is not root with all it takes, or asks for it."""
    return chosen() not in ("", ROOT) or not is_admin()
