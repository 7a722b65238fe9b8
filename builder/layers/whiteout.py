"""Deletions: overlayfs's form (char 0:0, opaque xattr), fuse-overlayfs's, and the tar's (`.wh.`).

OCI layer spec "Whiteouts"; kernel doc overlayfs.rst; fuse-overlayfs(1). A writable top that is not overlayfs's own
bears a mark that says so.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from functools import cache

from msgspec import Struct

from builder.linux.ids import in_user_namespace
from builder.linux.syscalls import mknod_whiteout

PREFIX = ".wh."
OPAQUE_NAME = ".wh..wh..opq"
_OVERLAY_XATTRS = (
    "trusted.overlay.",
    "user.overlay.",
    "user.fuseoverlayfs.",
    "trusted.pybuild.top.",
    "user.pybuild.top.",
)
_FUSE = "user.fuseoverlayfs."
# What pybuild itself writes on tops that are not overlayfs's.
_FORM, _PLACE = "pybuild.top.form", "pybuild.top.place"


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
    return _xattr(path, xattr_namespace() + name)


def _xattr(path: str, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return None


def make_whiteout(name: str, directory: int) -> None:
    """Delete `name` of what lies below: in overlayfs's form, or as the tar does where that is refused.

    On an overlay there are no devices 0:0 (ovl_mknod); nothing there is stacked by overlayfs itself.
    """
    try:
        mknod_whiteout(name, directory)
    except PermissionError:
        _touch(PREFIX + name, directory)


def set_opaque(directory: int) -> None:
    """Mark a directory, given by its descriptor, opaque; as the tar does where overlayfs's form is refused."""
    try:
        os.setxattr(directory, xattr_namespace() + "opaque", b"y")
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        _touch(OPAQUE_NAME, directory)


def clear_opaque(directory: str) -> None:
    """Take overlayfs's mark of being opaque away; missing is fine."""
    with suppress(OSError):
        os.removexattr(directory, xattr_namespace() + "opaque")


def _touch(name: str, directory: int) -> None:
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=directory))


def hidden_name(name: str, status: os.stat_result) -> str | None:
    """The name that an entry of a layer or a top deletes, in whichever form; None for one that deletes nothing."""
    if is_whiteout(status):
        return name
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) and name != OPAQUE_NAME else None


def is_opaque_somehow(path: str) -> bool:
    """As is_opaque, in whichever form."""
    return is_opaque(path) or _xattr(path, f"{_FUSE}opaque") == b"y" or os.path.lexists(f"{path}/{OPAQUE_NAME}")


# --- writable tops that are not overlayfs's own ---------------------------------------------------


class Form(Struct, frozen=True):
    """How a writable top tells what is deleted and what is new.

    `fuse`: as fuse-overlayfs does. `copied`: not at all, it is a copy that was complete at that time (nanoseconds).
    """

    fuse: bool = False
    copied: int | None = None

    def hides(self, name: str, status: os.stat_result) -> str | None:
        """The name whose deletion an entry marks, if it does."""
        if self.fuse:
            return hidden_name(name, status)
        return name if is_whiteout(status) else None

    def is_mark(self, name: str) -> bool:
        """Whether a file says something of the directory it is in, and is no file of the layer."""
        return self.fuse and name == OPAQUE_NAME

    def is_opaque(self, path: str) -> bool:
        """Whether a directory hides what lies below it."""
        return is_opaque_somehow(path) if self.fuse else is_opaque(path)

    def has_origin(self, path: str, status: os.stat_result) -> bool:
        """Whether an entry may have been copied up from a lower one, and so be none of its own.

        Links and nodes always may: in a user namespace they can bear no mark (xattr(7), user attributes). Of
        directories fuse-overlayfs marks those that are its own, as opaque.
        """
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            return True
        if self.fuse and stat.S_ISDIR(status.st_mode):
            return not self.is_opaque(path)
        return has_origin(path) or (self.fuse and _xattr(path, f"{_FUSE}origin") is not None)


OVERLAY = Form()


def form_of(upper: str) -> Form:
    """The form of a writable top."""
    mark = _xattr(upper, _own(_FORM))
    if mark is None:
        return OVERLAY
    return Form(fuse=True) if mark == b"fuse" else Form(copied=int(mark))


def set_form(upper: str, form: Form) -> None:
    """Mark a writable top that is not overlayfs's own."""
    os.setxattr(upper, _own(_FORM), b"fuse" if form.fuse else b"%d" % (form.copied or 0))


def set_place(directory: str, path: str) -> None:
    """Mark a directory of a copy with the path it has there, so that it is noticed when it is moved."""
    os.setxattr(directory, _own(_PLACE), _hashed(path))


def is_in_place(directory: str, path: str) -> bool:
    """Whether a directory of a copy is the one that was copied to `path`, or a copy of that one."""
    return _xattr(directory, _own(_PLACE)) == _hashed(path)


def _own(name: str) -> str:
    return xattr_namespace().partition(".")[0] + "." + name


def _hashed(path: str) -> bytes:
    return hashlib.blake2b(os.fsencode(path), digest_size=8).digest()
