"""The set-up of a step's mounts as objects: `describe()` says what, `apply()` does it.

They run inside the step's own mount and pid namespaces, before pivot_root, on the root's descriptor: what every step
has (`common`) on the stage, a tmpfs that is gone when the step begins, from where it is moved; the rest on the root.
What is hidden and what is read-only is the default of the OCI runtime spec's implementations (runc, Docker).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from builder.linux import syscalls
from builder.linux.files import write_all
from builder.linux.owners import give
from builder.linux.paths import open_in_root
from builder.sandbox import targets
from builder.sandbox.spec import BindMount, FileMount, Mount, Shape, StepSpec, TmpfsMount, shape
from builder.sandbox.tiers import shares_proc

_MASKED = (
    "acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "sched_debug", "scsi",
    "timer_list", "timer_stats",
)  # fmt: skip
_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_MASKED_SYS = ("firmware", "devices/virtual/powercap")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# What BuildKit adds for an insecure step, as far as the host has it.
_INSECURE_DEVICES = ("kmsg", "cuse", "fuse", "kvm", "net/tun", "loop-control", *(f"loop{n}" for n in range(8)))
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
    "core": "/proc/kcore",
}
# MOUNT_ATTR_*: the same bits as MS_* (linux/mount.h)
NOSUID_NODEV = 2 | 4
_NOSUID_NODEV_NOEXEC = NOSUID_NODEV | 8


class Op(Protocol):
    """One step of the set-up."""

    def describe(self) -> str:
        """What it does, in one line."""
        ...

    def apply(self, root: int, stage: int) -> None:
        """Do it, in the root `root`; `stage` is a directory on a tmpfs to put files on. Raises OSError."""
        ...


def plan(spec: StepSpec, binds: Sequence[int] = ()) -> list[Op]:
    """The set-up of `spec`, in order; `binds` as in `own`."""
    return [*common(shape(spec)), *own(spec, binds)]


def common(wanted: Shape) -> list[Op]:
    """What all steps of a shape have: the directories of `targets.KEPT`."""
    return [
        Proc(wanted.insecure),
        Sys(own=wanted.alone or wanted.namespace is not None, insecure=wanted.insecure),
        Dev(wanted.shm_size, wanted.insecure),
    ]


def own(spec: StepSpec, binds: Sequence[int] = ()) -> list[Op]:
    """What is the step's own, in order; `binds` are detached copies of what its bind mounts show."""
    ops: list[Op] = []
    left = iter(binds)
    for number, mount in enumerate(spec.mounts):
        match mount:
            case BindMount():
                ops.append(Bind(mount, next(left, -1)))
            case FileMount():
                ops.append(File(mount, number))
            case TmpfsMount():
                ops.append(Tmpfs(mount))
    if spec.read_only_root:
        ops.append(ReadOnlyRoot())
    return ops


@contextmanager
def told(op: Op) -> Iterator[None]:
    """Have an OSError tell what was being done."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} ({op.describe()})", error.filename) from error


def attach(root: int, target: str, fd: int) -> None:
    """Mount the detached mount `fd` at `target` of the root, and close it."""
    try:
        place = open_in_root(root, target)
        try:
            syscalls.move_mount(fd, place)
        finally:
            os.close(place)
    finally:
        os.close(fd)


def new(fstype: str, attributes: int = 0, **options: str) -> int:
    """A detached mount of a new file system."""
    fs = syscalls.fsopen(fstype)
    try:
        for key, value in options.items():
            syscalls.fsconfig_string(fs, key, value)
        syscalls.fsconfig_create(fs)
        return syscalls.fsmount(fs, attributes)
    finally:
        os.close(fs)


def _new_or_shared(fstype: str, path: str, attributes: int) -> int:
    """A detached mount of a new `fstype`; where that is refused and may be shared, of what is at `path`.

    Raises HostError that tells what refuses it.
    """
    try:
        return new(fstype, attributes)
    except PermissionError as error:
        if not shares_proc():
            # lazy: an error alone asks what kind of host this is
            from builder.sandbox.facts import refused

            raise refused(f"mounting {fstype}", os.strerror(errno.EPERM)) from error
    fd = syscalls.open_tree(path, recursive=True)
    syscalls.mount_setattr(fd, attributes, recursive=True)
    return fd


class Proc(Struct, frozen=True):
    """A fresh /proc, of this pid namespace; unless `insecure`, with what could harm the host hidden or read-only."""

    insecure: bool = False

    def describe(self) -> str:
        """What it does."""
        if self.insecure:
            return "mount proc at /proc"
        return f"mount proc at /proc, hide {', '.join(_MASKED)}, write-protect {', '.join(_READ_ONLY)}"

    def apply(self, root: int, stage: int) -> None:
        """Do it."""
        attach(root, "/proc", _new_or_shared("proc", "/proc", _NOSUID_NODEV_NOEXEC))
        if self.insecure:
            return
        proc = open_in_root(root, "/proc", os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in _READ_ONLY:
                _write_protect(proc, name)
            for name in _MASKED:
                _hide(proc, name)
        finally:
            os.close(proc)


def _write_protect(directory: int, name: str) -> None:
    path = f"/proc/self/fd/{directory}/{name}"
    if os.path.exists(path):
        fd = syscalls.open_tree(path, recursive=True)
        syscalls.mount_setattr(fd, syscalls.MOUNT_ATTR_RDONLY, recursive=True)
        attach(directory, name, fd)


def _hide(directory: int, name: str) -> None:
    path = f"/proc/self/fd/{directory}/{name}"
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        attach(directory, name, new("tmpfs", syscalls.MOUNT_ATTR_RDONLY))
    else:
        attach(directory, name, syscalls.open_tree("/dev/null"))


class Sys(Struct, frozen=True):
    """/sys, read-only unless `insecure`: `own` for a network namespace of the step's own, else the host's.

    What the host has mounted in its /sys (control groups, debugging) is shown to an `insecure` step alone.
    """

    own: bool
    insecure: bool = False

    def describe(self) -> str:
        """What it does."""
        how = "" if self.insecure else ", read-only"
        return f"mount {'a new sysfs' if self.own else 'the host’s /sys'} at /sys{how}"

    def apply(self, root: int, stage: int) -> None:
        """Do it."""
        attributes = (0 if self.insecure else syscalls.MOUNT_ATTR_RDONLY) | _NOSUID_NODEV_NOEXEC
        hidden: tuple[str, ...] = _MASKED_SYS
        if self.own:
            attach(root, "/sys", _new_or_shared("sysfs", "/sys", attributes))
        else:
            fd = syscalls.open_tree("/sys", recursive=True)
            syscalls.mount_setattr(fd, attributes, recursive=True)
            attach(root, "/sys", fd)
            hidden += tuple(mounted_below("/sys", Path("/proc/self/mountinfo").read_text(errors="surrogateescape")))
        if self.insecure:
            return
        sys = open_in_root(root, "/sys", os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in hidden:
                _hide(sys, name)
        finally:
            os.close(sys)


def mounted_below(top: str, mountinfo: str) -> list[str]:
    """The uppermost mount points below `top`, relative to it (proc_pid_mountinfo(5))."""
    targets = {line.split(" ")[4] for line in mountinfo.splitlines()}
    below = sorted(target.removeprefix(f"{top}/") for target in targets if target.startswith(f"{top}/"))
    return [name for name in below if not any(name.startswith(f"{other}/") for other in below)]


class Dev(Struct, frozen=True):
    """A minimal /dev with its own pseudo terminals, shared memory and message queues; more devices if `insecure`."""

    shm_size: int
    insecure: bool = False

    def describe(self) -> str:
        """What it does."""
        return f"mount a minimal /dev: {', '.join(self._names())}, pts, shm of {self.shm_size} bytes, mqueue"

    def apply(self, root: int, stage: int) -> None:
        """Do it."""
        attach(root, "/dev", new("tmpfs", _NOSUID_NODEV_NOEXEC, mode="755", size="65536k"))
        dev = open_in_root(root, "/dev", os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._fill(dev)
        finally:
            os.close(dev)

    def _names(self) -> list[str]:
        more = [name for name in _INSECURE_DEVICES if os.path.exists(f"/dev/{name}")] if self.insecure else []
        return [*_DEVICES, *more]

    def _fill(self, dev: int) -> None:
        for name in self._names():
            if "/" in name:
                os.mkdir(os.path.dirname(name), 0o755, dir_fd=dev)
            # The host's own nodes on a file system that has no devices: a step cannot make others that open.
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666, dir_fd=dev))
            attach(dev, name, syscalls.open_tree(f"/dev/{name}"))
        for name, target in _LINKS.items():
            os.symlink(target, name, dir_fd=dev)
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(name, 0o755, dir_fd=dev)
        # 5 is the tty group of every distribution; where it is not mapped the option is refused
        with_group = {"gid": "5"}
        try:
            pts = new("devpts", 2 | 8, ptmxmode="0666", mode="0620", **with_group)
        except OSError:
            pts = new("devpts", 2 | 8, ptmxmode="0666", mode="0620")
        attach(dev, "pts", pts)
        attach(dev, "shm", new("tmpfs", _NOSUID_NODEV_NOEXEC, mode="1777", size=str(self.shm_size)))
        with suppress(OSError):  # a kernel built without POSIX message queues
            attach(dev, "mqueue", new("mqueue", _NOSUID_NODEV_NOEXEC))


class Bind(Struct, frozen=True):
    """A file or directory of the host; `fd` is a detached copy of its mount."""

    mount: BindMount
    fd: int = -1

    def describe(self) -> str:
        """What it does."""
        how = ", read-only" if self.mount.read_only else ""
        return f"bind {self.mount.source} at {self.mount.target}{how}"

    def apply(self, root: int, stage: int) -> None:
        """Do it."""
        attributes = syscalls.MOUNT_ATTR_RDONLY if self.mount.read_only else 0
        attributes |= syscalls.MS_NOSUID | syscalls.MS_NOEXEC if self.mount.device else syscalls.MS_NODEV
        syscalls.mount_setattr(self.fd, attributes, recursive=True)
        _place(root, self.mount, self.fd)


class File(Struct, frozen=True):
    """A file whose content is given: written on the stage by a `number` of its own, bound at its target."""

    mount: FileMount
    number: int

    def describe(self) -> str:
        """What it does."""
        return f"show {len(self.mount.content)} bytes at {self.mount.target}"

    def apply(self, root: int, stage: int) -> None:
        """Do it."""
        name = f"file-{self.number}"
        fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=stage)
        try:
            write_all(fd, self.mount.content)
            give(fd, self.mount.uid, self.mount.gid)
            os.fchmod(fd, self.mount.mode)
        finally:
            os.close(fd)
        clone = syscalls.open_tree(name, directory=stage)
        if self.mount.read_only:
            syscalls.mount_setattr(clone, syscalls.MOUNT_ATTR_RDONLY)
        _place(root, self.mount, clone)


def _place(root: int, mount: Mount, fd: int) -> None:
    """Attach one of the step's own mounts: in another one, its target is made where it is missing."""
    targets.ensure(root, mount.target, directory=stat.S_ISDIR(os.fstat(fd).st_mode))
    attach(root, mount.target, fd)


class Tmpfs(Struct, frozen=True):
    """An empty tmpfs."""

    mount: TmpfsMount

    def describe(self) -> str:
        """What it does."""
        return f"mount a tmpfs at {self.mount.target}"

    def apply(self, root: int, stage: int) -> None:
        """Do it."""
        targets.ensure(root, self.mount.target, directory=True, mode=0o1777)
        covered = open_in_root(root, self.mount.target)
        options = {"mode": f"{stat.S_IMODE(os.fstat(covered).st_mode):o}"}
        os.close(covered)
        if self.mount.size:
            options["size"] = str(self.mount.size)
        # Programs are built and run on it: only what gives privileges is taken away.
        attach(root, self.mount.target, new("tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, **options))


class ReadOnlyRoot(Struct, frozen=True):
    """The root file system itself, read-only."""

    def describe(self) -> str:
        """What it does."""
        return "make the root file system read-only"

    def apply(self, root: int, stage: int) -> None:
        """Do it."""
        syscalls.mount_setattr(root, syscalls.MOUNT_ATTR_RDONLY)
