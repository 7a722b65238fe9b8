"""Mount targets inside a root that may be hostile: found, made where missing, and taken away again.

All by descriptors and openat2(RESOLVE_IN_ROOT), so that no symlink of the image leads outside.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from contextlib import suppress

from msgspec import Struct

from builder.errors import BadInputError
from builder.linux.paths import open_in_root, resolve_in_root
from builder.sandbox.spec import BindMount, FileMount, Mount, StepSpec, TmpfsMount

# Made where missing and left in the layer, as runc and so BuildKit leave them.
KEPT = ("/dev", "/proc", "/sys")


class StandIn(Struct, frozen=True):
    """Something made only to mount on: its resolved path, and its parent's times (ns) from before."""

    path: str
    directory: bool
    parent_times: tuple[int, int]


def prepare(root: int, spec: StepSpec) -> list[StandIn]:
    """Make the targets that are missing in `root` (a directory descriptor); says what was made."""
    made: list[StandIn] = []
    for target in KEPT:
        found = _status(root, target)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            # What is hidden and write-protected there must be where programs look for it.
            raise BadInputError(f"{target} of the image is no directory, and nothing else can be mounted on")
        if found is None:
            ensure(root, target, directory=True)
    for mount in spec.mounts:
        if mount.target.startswith("/dev/"):
            continue  # below the step's own /dev, which is not there yet
        mode = 0o1777 if isinstance(mount, TmpfsMount) else 0o755
        made += ensure(root, mount.target, directory=not is_file(mount), mode=mode)
    return made


def is_file(mount: Mount) -> bool:
    """Whether a mount is of one file, so that its target must be one too."""
    if isinstance(mount, FileMount):
        return True
    return isinstance(mount, BindMount) and not os.path.isdir(mount.source)


def ensure(root: int, target: str, *, directory: bool, mode: int = 0o755) -> list[StandIn]:
    """Make `target` in `root`, with the parents it lacks; says what was made. `mode` is a directory's own."""
    resolved = _resolved(root, target)
    if not resolved:
        raise BadInputError(f"{target} cannot be a mount target: it is the root")
    if target not in KEPT and resolved.split("/")[0] == "proc":
        raise BadInputError(f"{target} cannot be a mount target: it is in /proc")
    made = []
    parts = resolved.split("/")
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        found = _status(root, path)
        if found is not None:
            if depth < len(parts) and not stat.S_ISDIR(found.st_mode):
                raise BadInputError(f"{target} cannot be a mount target: /{path} is no directory")
            if depth == len(parts) and stat.S_ISDIR(found.st_mode) != directory:
                what, there = ("a directory", "a file") if directory else ("a file", "a directory")
                raise BadInputError(f"{what} cannot be mounted on {target}, which is {there}")
            continue
        last = depth == len(parts)
        made.append(_make(root, path, directory or not last, mode if last else 0o755))
    return made


def _resolved(root: int, target: str) -> str:
    try:
        return resolve_in_root(root, target)
    except OSError as error:
        raise BadInputError(f"{target} cannot be a mount target: {error.strerror}") from None


def _status(root: int, path: str) -> os.stat_result | None:
    try:
        fd = open_in_root(root, path, os.O_PATH | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _make(root: int, path: str, directory: bool, mode: int) -> StandIn:
    above, name = posixpath.split(path)
    parent = open_in_root(root, above, os.O_RDONLY | os.O_DIRECTORY)
    try:
        before = os.fstat(parent)
        if directory:
            os.mkdir(name, mode, dir_fd=parent)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644, dir_fd=parent))
        return StandIn(path, directory, (before.st_atime_ns, before.st_mtime_ns))
    finally:
        os.close(parent)


def restore(root: int, made: list[StandIn]) -> None:
    """Take away what `prepare` made, if it is still empty, and give its parents their times back."""
    for item in reversed(made):
        above, name = posixpath.split(item.path)
        # The step may have removed or filled it: then it is the step's own.
        with suppress(OSError):
            parent = open_in_root(root, above, os.O_RDONLY | os.O_DIRECTORY)
            try:
                before = os.fstat(parent)
                if item.directory:
                    os.rmdir(name, dir_fd=parent)
                elif os.stat(name, dir_fd=parent, follow_symlinks=False).st_size == 0:
                    os.unlink(name, dir_fd=parent)
                os.utime(parent, ns=_earlier(item.parent_times, before))
            finally:
                os.close(parent)


def _earlier(saved: tuple[int, int], now: os.stat_result) -> tuple[int, int]:
    return saved if saved[1] <= now.st_mtime_ns else (now.st_atime_ns, now.st_mtime_ns)
