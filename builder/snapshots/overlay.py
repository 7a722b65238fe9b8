"""Stacks by overlayfs: the kernel's own way, and the one that costs nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from builder.errors import HostError
from builder.layers.whiteout import xattr_namespace
from builder.linux import syscalls
from builder.snapshots.overlaymount import OverlayMount

# mount(8)'s classic way has one page for all options; since Linux 6.5 each lower is added on its own.
_PAGE = 4000
# nofollow: nothing here makes redirects, and with userxattr the kernel takes no other value (ovl_fs_params_verify).
_OPTIONS = (("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow"))


def mount(wanted: OverlayMount) -> None:
    """See assembler.Mount. `volatile`: neither fsync in it nor its end waits for the disk (overlayfs.rst)."""
    options = list(_OPTIONS)
    if wanted.upper is not None and wanted.work is not None:
        options += [("upperdir", wanted.upper), ("workdir", wanted.work)]
    flags = ["userxattr"] if xattr_namespace().startswith("user.") else []
    try:
        _mount(wanted.lowers, wanted.target, options, [*flags, *(["volatile"] if wanted.volatile else [])])
    except OSError as error:
        raise HostError(
            f"overlayfs cannot be mounted: {error.strerror}",
            hint="the store must lie on a file system that overlayfs takes as upper dir (ext4, xfs, btrfs, "
            "tmpfs; not another overlay), and ordinary users need Linux 5.11 or newer",
        ) from error


def _mount(lowers: Sequence[str], target: str, options: list[tuple[str, str]], flags: list[str]) -> None:
    fs = syscalls.fsopen("overlay")
    try:
        for lower in lowers:
            syscalls.fsconfig_string(fs, "lowerdir+", lower)
        for key, value in options:
            syscalls.fsconfig_string(fs, key, value)
        for flag in flags:
            syscalls.fsconfig_flag(fs, flag)
        syscalls.fsconfig_create(fs)
        mount = syscalls.fsmount(fs, syscalls.MS_NODEV)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _mount_classic(lowers, target, options, flags)
        return
    finally:
        os.close(fs)
    try:
        syscalls.move_mount(mount, target)
    finally:
        os.close(mount)


def _mount_classic(lowers: Sequence[str], target: str, options: list[tuple[str, str]], flags: list[str]) -> None:
    """For kernels before 6.5: all options in one page, so lower dirs are named relative to their parent."""
    common = os.path.dirname(lowers[0])
    short = [os.path.relpath(lower, common) for lower in lowers]
    data = ",".join([*(f"{k}={v}" for k, v in [("lowerdir", ":".join(short)), *options]), *flags])
    if len(data) > _PAGE:
        raise OSError(errno.E2BIG, f"{len(lowers)} layers are more than this kernel can stack at once")
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(common)
        syscalls.mount("overlay", target, "overlay", syscalls.MS_NODEV, data)
    finally:
        os.fchdir(before)
        os.close(before)
