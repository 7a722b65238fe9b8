"""Snapshots on disk, and writable tops on stacks of them.

    <root>/snapshots/<diff ID hex>/   one unpacked layer, deletions in overlayfs's form; never changed
    <root>/tmp/active-<random>/       a writable top:  upper/ the changes
                                                       work/  overlayfs's own
                                                       root/  where the stack is mounted (in one process's namespace)
    <root>/tmp/active-<random>.lock   held by the process that uses it; unlocked = left behind by a crash

A snapshot appears by rename of an upper dir or of an unpacked layer: whole or not at all.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from builder.digest import Digest
from builder.errors import HostError
from builder.layers.whiteout import xattr_namespace
from builder.linux import syscalls
from builder.linux.files import remove_tree
from builder.linux.locks import abandoned, create_locked
from builder.points import point

# mount(8)'s classic way has one page for all options; since Linux 6.5 each lower is added on its own.
_PAGE = 4000
# nofollow: nothing here makes redirects, and with userxattr the kernel takes no other value (ovl_fs_params_verify).
_OPTIONS = (("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow"))


class Snapshots:
    """The snapshots of the store at `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, diff_id: Digest) -> str:
        """Where the snapshot of a layer is, or would be."""
        return f"{self._root}/snapshots/{diff_id.hex}"

    def lowers(self, stack: Sequence[Digest]) -> tuple[str, ...]:
        """The snapshots of `stack` (bottom first) as overlayfs wants them: topmost first, none twice.

        A layer that comes again higher up hides its lower self entirely, and the kernel refuses it twice (ELOOP).
        """
        return tuple(dict.fromkeys(self.path(diff_id) for diff_id in reversed(stack)))

    def has(self, diff_id: Digest) -> bool:
        """Whether a layer is unpacked."""
        return os.path.isdir(self.path(diff_id))

    def commit(self, directory: str, diff_id: Digest) -> None:
        """Make `directory` the snapshot of `diff_id`; nothing changes when there is one already."""
        point("snapshot:commit")
        try:
            os.rename(directory, self.path(diff_id))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        point("snapshot:renamed")

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """A new directory in tmp/, locked while in use, removed at the end with all that is still in it."""
        path = f"{self._root}/tmp/active-{os.urandom(8).hex()}"
        lock = -1
        try:  # being canceled can come between any two instructions
            lock = create_locked(Path(f"{path}.lock"))
            os.mkdir(path, 0o700)
            yield path
        finally:
            remove_tree(path)
            with suppress(FileNotFoundError):
                os.unlink(f"{path}.lock")
            if lock >= 0:
                os.close(lock)

    def sweep(self) -> None:
        """Remove what crashed processes left in tmp/."""
        for lock in abandoned(self._root / "tmp", "active-*.lock"):
            remove_tree(str(lock).removesuffix(".lock"))
            lock.unlink(missing_ok=True)

    @contextmanager
    def writable(self, stack: Sequence[Digest]) -> Iterator[Writable]:
        """A writable top on the snapshots of `stack` (bottom first), mounted for this process only."""
        own_mounts()
        with self.scratch() as path:
            top = Writable(path, self.lowers(stack))
            for name in ("upper", "work", "root"):
                os.mkdir(f"{path}/{name}", 0o755)
            os.mkdir(f"{path}/empty", 0o755)
            mount_overlay(top.lowers or (f"{path}/empty",), top.root, top.upper, f"{path}/work")
            try:
                yield top
            finally:
                syscalls.umount(top.root)

    @contextmanager
    def resumed(self, stack: Sequence[Digest], directory: str) -> Iterator[Writable]:
        """The writable top whose `upper` and `work` are kept in `directory`, mounted again as `writable` does."""
        own_mounts()
        with self.scratch() as path:
            top = Writable(path, self.lowers(stack))
            for name in ("root", "empty"):
                os.mkdir(f"{path}/{name}", 0o755)
            mount_overlay(top.lowers or (f"{path}/empty",), top.root, f"{directory}/upper", f"{directory}/work")
            try:
                yield top
            finally:
                syscalls.umount(top.root)

    @contextmanager
    def readable(self, stack: Sequence[Digest], above: Sequence[str] = ()) -> Iterator[str]:
        """The merged tree of `stack`, read-only, mounted for this process only; gives its path.

        `above` are upper directories that lie on it, topmost first.
        """
        own_mounts()
        with self.scratch() as path:
            os.mkdir(f"{path}/root", 0o755)
            lowers = (*above, *self.lowers(stack))
            for spare in ("empty", "empty2")[: max(0, 2 - len(lowers))]:
                os.mkdir(f"{path}/{spare}", 0o755)  # overlayfs without an upper wants two lowers
                lowers = (*lowers, f"{path}/{spare}")
            mount_overlay(lowers, f"{path}/root")
            try:
                yield f"{path}/root"
            finally:
                syscalls.umount(f"{path}/root")


class Writable:
    """A mounted writable top: `root` the merged tree, `upper` the changes, `lowers` topmost first."""

    def __init__(self, path: str, lowers: tuple[str, ...]) -> None:
        self.root, self.upper, self.lowers = f"{path}/root", f"{path}/upper", lowers


def own_mounts() -> None:
    """Give this process a mount namespace of its own, from which nothing spreads to others."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
    except OSError as error:
        # lazy: only where it is refused
        from builder.sandbox.facts import refused

        raise refused("mount namespace", str(error.strerror)) from error
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)


def mount_overlay(lowers: Sequence[str], target: str, upper: str | None = None, work: str | None = None) -> None:
    """Mount overlayfs of `lowers` (topmost first) at `target`. Raises HostError when the kernel refuses.

    Without devices: a step may make their nodes (mknod is one of Docker's capabilities), but opening one would be
    the way to this machine's disks.
    """
    options = list(_OPTIONS)
    if upper is not None and work is not None:
        options += [("upperdir", upper), ("workdir", work)]
    try:
        _mount(lowers, target, options)
    except OSError as error:
        raise HostError(
            f"overlayfs cannot be mounted: {error.strerror}",
            hint="the store must lie on a file system that overlayfs takes as upper dir (ext4, xfs, btrfs, "
            "tmpfs; not another overlay), and ordinary users need Linux 5.11 or newer",
        ) from error


def _mount(lowers: Sequence[str], target: str, options: list[tuple[str, str]]) -> None:
    fs = syscalls.fsopen("overlay")
    try:
        for lower in lowers:
            syscalls.fsconfig_string(fs, "lowerdir+", lower)
        for key, value in options:
            syscalls.fsconfig_string(fs, key, value)
        if xattr_namespace().startswith("user."):
            syscalls.fsconfig_flag(fs, "userxattr")
        syscalls.fsconfig_create(fs)
        mount = syscalls.fsmount(fs, syscalls.MS_NODEV)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _mount_classic(lowers, target, options)
        return
    finally:
        os.close(fs)
    try:
        syscalls.move_mount(mount, target)
    finally:
        os.close(mount)


def _mount_classic(lowers: Sequence[str], target: str, options: list[tuple[str, str]]) -> None:
    """For kernels before 6.5: all options in one page, so lower dirs are named relative to their parent."""
    common = os.path.dirname(lowers[0])
    short = [os.path.relpath(lower, common) for lower in lowers]
    data = ",".join(f"{k}={v}" for k, v in [("lowerdir", ":".join(short)), *options])
    if xattr_namespace().startswith("user."):
        data += ",userxattr"
    if len(data) > _PAGE:
        raise OSError(errno.E2BIG, f"{len(lowers)} layers are more than this kernel can stack at once")
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(common)
        syscalls.mount("overlay", target, "overlay", syscalls.MS_NODEV, data)
    finally:
        os.fchdir(before)
        os.close(before)
