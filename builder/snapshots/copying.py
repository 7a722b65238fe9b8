"""Stacks by copying them: what works on any file system that has extended attributes."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence

from builder.layers.merged import Shown, listing
from builder.layers.whiteout import Form, is_overlay_xattr, set_form, set_place
from builder.linux import syscalls
from builder.linux.files import copy_data
from builder.snapshots.overlaymount import OverlayMount


def mount(wanted: OverlayMount) -> None:
    """See assembler.Mount. `upper`, where it is new, becomes the whole tree; else it goes on as it is."""
    if wanted.upper is None:
        lowest, target = wanted.lowers[0], wanted.target
        copy_stack(wanted.lowers, target, whole=True)
        _dress(Shown(lowest, os.lstat(lowest), []), target)
        _bind(target, target, syscalls.MS_NODEV | syscalls.MOUNT_ATTR_RDONLY)
        return
    if not os.listdir(wanted.upper):
        copy_stack(wanted.lowers, wanted.upper)
        set_form(wanted.upper, Form(copied=mount_time(wanted.work or wanted.upper)))
    _bind(wanted.upper, wanted.target, syscalls.MS_NODEV)


def _bind(source: str, target: str, attributes: int) -> None:
    fd = syscalls.open_tree(source)
    try:
        syscalls.mount_setattr(fd, attributes)
        syscalls.move_mount(fd, target)
    finally:
        os.close(fd)


def mount_time(directory: str) -> int:
    """A time of the file system of `directory`: all that is there is not younger, all that comes is."""
    first = _made(directory)
    while _made(directory) <= first:
        time.sleep(0.001)
    return first


def _made(directory: str) -> int:
    path = f"{directory}/clock"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    try:
        return syscalls.born(path) or os.stat(path).st_ctime_ns
    finally:
        os.unlink(path)


def copy_stack(lowers: Sequence[str], target: str, *, whole: bool = False) -> None:
    """Copy what `lowers` (topmost first) show together into the empty directory `target`, which stays as it is.

    A file that has several names becomes several files, as what is done to one of them must not be done to the others:
    overlayfs copies up one name at a time. With `whole` it stays one, for those who only read.
    """
    first: dict[tuple[int, int], str] = {}
    todo = [("", iter(sorted(listing(lowers).items())))]
    above: list[Shown] = []
    while todo:
        base, entries = todo[-1]
        name, shown = next(entries, ("", None))
        if shown is None:
            todo.pop()
            if base:
                _dress(above.pop(), f"{target}/{base}")
            continue
        path = f"{base}/{name}" if base else name
        if shown.lowers:
            os.mkdir(f"{target}/{path}", 0o700)
            set_place(f"{target}/{path}", path)
            todo.append((path, iter(sorted(listing(shown.lowers).items()))))
            above.append(shown)
        elif whole and (same := first.get(_inode(shown))) is not None:
            os.link(same, f"{target}/{path}", follow_symlinks=False)
        else:
            _copy(shown, f"{target}/{path}")
            if shown.status.st_nlink > 1:
                first.setdefault(_inode(shown), f"{target}/{path}")


def _inode(shown: Shown) -> tuple[int, int]:
    return shown.status.st_dev, shown.status.st_ino


def _copy(shown: Shown, path: str) -> None:
    mode = shown.status.st_mode
    if stat.S_ISREG(mode):
        source = os.open(shown.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_data(source, target)
        finally:
            os.close(source)
            os.close(target)
    elif stat.S_ISLNK(mode):
        os.symlink(os.readlink(shown.path), path)
    else:
        os.mknod(path, stat.S_IFMT(mode) | 0o600, shown.status.st_rdev)
    _dress(shown, path)


def _dress(shown: Shown, path: str) -> None:
    """Owner, mode, attributes and times, in the order in which none undoes another (chown(2))."""
    status = shown.status
    os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)
    for name in os.listxattr(shown.path, follow_symlinks=False):
        if not is_overlay_xattr(name) and name != "security.selinux":
            os.setxattr(path, name, os.getxattr(shown.path, name, follow_symlinks=False), follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)
