"""Deletions: overlayfs's form (char 0:0, opaque xattr) and the tar's (`.wh.`), OCI layer spec "Whiteouts"."""

from __future__ import annotations

import os
import stat
from functools import cache

from builder.linux.ids import in_user_namespace

PREFIX = ".wh."
OPAQUE_NAME = ".wh..wh..opq"
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")


@cache
def xattr_namespace() -> str:
    """Where overlayfs keeps its marks: `trusted` needs real root, a user namespace has `user` (userxattr)."""
    return "user.overlay." if in_user_namespace() else "trusted.overlay."


def is_whiteout(status: os.stat_result) -> bool:
    """Whether an upper dir's entry marks a deletion (kernel doc overlayfs.rst)."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_overlay_xattr(name: str) -> bool:
    """Whether an extended attribute belongs to overlayfs and never to a layer."""
    return name.startswith(_OVERLAY_XATTRS)


def is_opaque(path: str) -> bool:
    """Whether a directory of an upper dir hides what lies below it."""
    return _mark(path, "opaque") == b"y"


def has_origin(path: str) -> bool:
    """Whether an upper dir's entry was copied up from a lower one."""
    return _mark(path, "origin") is not None


def _mark(path: str, name: str) -> bytes | None:
    try:
        return os.getxattr(path, xattr_namespace() + name, follow_symlinks=False)
    except OSError:
        return None


def set_opaque(directory: int) -> None:
    """Mark a directory, given by its descriptor, opaque."""
    os.setxattr(directory, xattr_namespace() + "opaque", b"y")
