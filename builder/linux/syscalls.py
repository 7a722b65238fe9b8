"""Thin wrappers over system calls that Python lacks; each raises OSError with the path.

A few lines each; nobody else looks at return codes. The numbers are those of the generic table, on which
x86_64 and aarch64 agree for all calls younger than Linux 5.0; older ones go through libc's own functions.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import sys
from functools import cache

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
# The same for what must not let go of the interpreter's lock.
_held = ctypes.PyDLL(None, use_errno=True)
_held.syscall.restype = ctypes.c_long

# mount(2)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 32, 4096, 16384, 1 << 18, 1 << 19
MNT_DETACH = 2
# unshare(2)
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
_CLONE_PARENT = 0x8000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
# mount_setattr(2), open_tree(2), move_mount(2)
MOUNT_ATTR_RDONLY = 1
AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW = 0x1000, 0x8000, 0x100
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x40
# openat2(2)
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT = 0x02, 0x04, 0x08, 0x10
# statx(2)
_STATX_BTIME, _STATX_NOFOLLOW = 0x800, 0x100
# prctl(2), capabilities(7)
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 8, 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 47, 2, 4

_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 428, 429, 430, 431, 432
_SYS_OPENAT2, _SYS_MOUNT_SETATTR = 437, 442
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
_RENAME_NOREPLACE = 1
_CAPABILITY_VERSION_3 = 0x20080522


def check(result: int, path: str | bytes | None = None) -> int:
    """Return `result`, or raise the OSError of errno when it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def syscall(number: int, *args: object, path: str | None = None) -> int:
    """Call `number` with arguments (int, bytes, None or ctypes objects). Raises OSError."""
    raw = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    return check(int(_libc.syscall(ctypes.c_long(number), *raw)), path)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def mount(source: str | None, target: str, fstype: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""
    check(
        _libc.mount(_bytes(source), _bytes(target), _bytes(fstype), ctypes.c_ulong(flags), _bytes(data)),
        target,
    )


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2); lazily unless told otherwise."""
    check(_libc.umount2(_bytes(target), flags), target)


def rename_new(source: str, target: str) -> None:
    """rename(2) that takes nothing's place: EEXIST; as plain rename(2) on a file system that cannot tell."""
    try:
        check(_libc.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), _RENAME_NOREPLACE), target)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        os.rename(source, target)


def unshare(flags: int) -> None:
    """unshare(2)."""
    check(_libc.unshare(flags))


def fork_tied(flags: int = 0, parent: int | None = None) -> int:
    """fork(2) a child that is killed when this process ends. Only from a process with one thread.

    With `parent`, a pidfd of this process's parent, it is a child of that, and killed when that ends.

    With CLONE_NEW* as `flags` it is in new namespaces (clone(2)). The calling process stays where it is, and can do it
    again: after unshare(2) its children would all be in the one new pid namespace, and end with its first process.
    """
    tied_to = os.pidfd_open(os.getpid()) if parent is None else parent
    if parent is not None:
        flags |= _CLONE_PARENT
    try:
        pid = _fork_into(flags) if flags else os.fork()
        if pid == 0:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            ended = select.poll()
            ended.register(tied_to, select.POLLIN)
            if ended.poll(0):  # before this process could say that it wants to know
                os._exit(1)
        return pid
    finally:
        if parent is None:
            os.close(tied_to)


def _fork_into(flags: int) -> int:
    number = 56 if os.uname().machine == "x86_64" else 220
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pid = int(_held.syscall(ctypes.c_long(number), ctypes.c_ulong(flags | signal.SIGCHLD), None, None, None, None))
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    python.PyOS_AfterFork_Parent()
    return check(pid)


def setns(fd: int, kind: int) -> None:
    """setns(2): join the namespace `fd` is a descriptor of; `kind` is its CLONE_NEW* flag."""
    check(_libc.setns(fd, kind))


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2)."""
    check(_libc.pivot_root(_bytes(new), _bytes(old)), new)


def sethostname(name: str) -> None:
    """sethostname(2)."""
    raw = name.encode()
    check(_libc.sethostname(raw, len(raw)))


def prctl(option: int, *args: int) -> int:
    """prctl(2) with up to four numbers."""
    padded = [ctypes.c_ulong(a) for a in (*args, 0, 0, 0, 0)[:4]]
    return check(_libc.prctl(option, *padded))


@cache
def argument_area() -> tuple[int, int]:
    """Where this process's arguments lie in its memory: from the 48th field of its stat to the 49th (proc(5)).

    They lie there in its children too.
    """
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[45]), int(fields[46])


def show_as(name: str) -> None:
    """Have /proc/PID/cmdline of this process show `name`, cut to the room there is, and nothing of its arguments."""
    start, end = argument_area()
    ctypes.memset(start, 0, end - start)
    shown = name.encode()[: end - start - 1]
    ctypes.memmove(start, shown, len(shown))


def set_capabilities(effective: int, permitted: int, inheritable: int = 0) -> None:
    """capset(2) for this thread; each argument is a mask of 1 << CAP_*."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    words = []
    for shift in (0, 32):
        words += [(mask >> shift) & 0xFFFFFFFF for mask in (effective, permitted, inheritable)]
    data = (ctypes.c_uint32 * 6)(*words)
    check(_libc.capset(header, data))


def permitted_capabilities() -> int:
    """capget(2): the permitted set of this thread as a mask."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    check(_libc.capget(header, data))
    return int(data[1] | data[4] << 32)


def new_session_keyring() -> None:
    """keyctl(2) KEYCTL_JOIN_SESSION_KEYRING with a new anonymous keyring."""
    number = 250 if os.uname().machine == "x86_64" else 219
    syscall(number, 1, None)


def fsopen(fstype: str) -> int:
    """fsopen(2): a file descriptor of a file system being configured."""
    return syscall(_SYS_FSOPEN, fstype.encode(), 1, path=fstype)


def fsconfig_string(fd: int, key: str, value: str) -> None:
    """fsconfig(2), FSCONFIG_SET_STRING."""
    syscall(_SYS_FSCONFIG, fd, _FSCONFIG_SET_STRING, key.encode(), os.fsencode(value), 0, path=f"{key}={value}")


def fsconfig_flag(fd: int, key: str) -> None:
    """fsconfig(2), FSCONFIG_SET_FLAG."""
    syscall(_SYS_FSCONFIG, fd, _FSCONFIG_SET_FLAG, key.encode(), None, 0, path=key)


def fsconfig_create(fd: int) -> None:
    """fsconfig(2), FSCONFIG_CMD_CREATE."""
    syscall(_SYS_FSCONFIG, fd, _FSCONFIG_CMD_CREATE, None, None, 0)


def fsmount(fd: int, attributes: int = 0) -> int:
    """fsmount(2): a descriptor of the mount, attached nowhere yet."""
    return syscall(_SYS_FSMOUNT, fd, 1, attributes)


def open_tree(path: str, *, recursive: bool = False, directory: int = -100) -> int:
    """open_tree(2) with OPEN_TREE_CLONE: a detached copy of the mount (tree) at `path`, which may be in a `directory`.

    What is copied must be in this process's mount namespace.
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return syscall(_SYS_OPEN_TREE, directory, os.fsencode(path), flags, path=path)


def move_mount(mount_fd: int, target: str | int, name: str = "") -> None:
    """move_mount(2): attach a detached mount at a path, or on top of what an O_PATH descriptor is.

    With a `name`, `mount_fd` is a directory, and what is mounted there by that name is moved, with all below it.
    """
    from_flags = 0 if name else MOVE_MOUNT_F_EMPTY_PATH
    if isinstance(target, int):
        flags = from_flags | MOVE_MOUNT_T_EMPTY_PATH
        syscall(_SYS_MOVE_MOUNT, mount_fd, os.fsencode(name), target, b"", flags)
    else:
        syscall(_SYS_MOVE_MOUNT, mount_fd, os.fsencode(name), -100, os.fsencode(target), from_flags, path=target)


class _MountAttr(ctypes.Structure):
    _fields_ = tuple((n, ctypes.c_uint64) for n in ("attr_set", "attr_clr", "propagation", "userns_fd"))  # type: ignore[mutable-override]


def mount_setattr(target: str | int, attr_set: int, *, recursive: bool = False) -> None:
    """mount_setattr(2) on a path or a mount's descriptor."""
    attr = _MountAttr(attr_set, 0, 0, 0)
    flags = (AT_RECURSIVE if recursive else 0) | (AT_EMPTY_PATH if isinstance(target, int) else 0)
    fd, path = (target, b"") if isinstance(target, int) else (-100, os.fsencode(target))
    syscall(_SYS_MOUNT_SETATTR, fd, path, flags, ctypes.byref(attr), ctypes.sizeof(attr), path=str(target))


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))  # type: ignore[mutable-override]


def openat2(directory: int, path: str, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2)."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    while True:
        try:
            return syscall(
                _SYS_OPENAT2,
                directory,
                os.fsencode(path) or b".",
                ctypes.byref(how),
                ctypes.sizeof(how),
                path=path,
            )
        except BlockingIOError:
            # EAGAIN: something was renamed while `..` was resolved (openat2(2)); ask again.
            continue


def born(path: str) -> int | None:
    """When `path` itself came to be, in nanoseconds (statx(2), STATX_BTIME); None where the file system forgets."""
    buffer = (ctypes.c_uint8 * 256)()
    check(_libc.statx(-100, os.fsencode(path), _STATX_NOFOLLOW, _STATX_BTIME, buffer), path)
    raw = bytes(buffer)
    if not int.from_bytes(raw[:4], sys.byteorder) & _STATX_BTIME:
        return None
    seconds = int.from_bytes(raw[80:88], sys.byteorder, signed=True)
    return seconds * 1_000_000_000 + int.from_bytes(raw[88:92], sys.byteorder)


def exchange(one: str, other: str) -> None:
    """renameat2(2) with RENAME_EXCHANGE: each gets the other's name, and at no moment has either none."""
    check(_libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), ctypes.c_uint(2)), one)


def sync_file_system(fd: int) -> None:
    """syncfs(2): all that was written to the file system of `fd` is on the disk."""
    check(_libc.syncfs(fd))


def begin_writing(fd: int, offset: int, size: int) -> None:
    """sync_file_range(2) with SYNC_FILE_RANGE_WRITE: these bytes of a file begin to go to the disk."""
    check(_libc.sync_file_range(fd, ctypes.c_int64(offset), ctypes.c_int64(size), ctypes.c_uint(2)))


def mknod_whiteout(name: str, directory: int) -> None:
    """An overlay whiteout: a character device 0:0, which needs no privilege (kernel doc overlayfs.rst)."""
    os.mknod(name, 0o020000, os.makedev(0, 0), dir_fd=directory)


def bring_loopback_up() -> None:
    """Set the flags of `lo` in this network namespace to up (netdevice(7), SIOCSIFFLAGS)."""
    # lazy: only steps without network need them
    import fcntl
    import socket
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        up_and_running = 0x1 | 0x40
        fcntl.ioctl(control, 0x8914, struct.pack("16sH14x", b"lo", up_and_running))
