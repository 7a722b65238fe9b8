"""Answers to calls that show, change or give the owners of files, and to those that make device nodes.

Where nothing but the kernel's own answer is needed, the call is passed on: most of the time.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable

from builder.linux.calls import machine
from builder.linux.notify import Listener, Notification, raw_status, raw_statx, read_memory, read_string, write_memory
from builder.linux.owners import ATTRIBUTE, SPECIAL_ATTRIBUTE, Record, keep, record
from builder.sandbox.oneid.credentials import UNCHANGED, Credentials, Table, executed, new_owner
from builder.sandbox.oneid.processes import Paths, Place, believe, believed, umask

# What a handler gives besides a value: let the kernel do the call; it is answered already.
PASS, SENT = -1, -2
CREATING = os.O_CREAT | 0x400000  # O_CREAT or O_TMPFILE's own bit
_TMPFILE = 0x400000
_HERE = -100  # AT_FDCWD
_NO_FOLLOW, _EMPTY_PATH = 0x100, 0x1000
_DEVICES = (stat.S_IFCHR, stat.S_IFBLK)
# struct statx: stx_uid and stx_gid, stx_mode, stx_rdev_major and stx_rdev_minor
_STATX_IDS, _STATX_MODE, _STATX_DEVICE = 20, 28, 128

Answer = Callable[[Notification], int]


class Files:
    """The handlers, by the names of their calls; each gives a value, PASS or SENT, or raises OSError."""

    def __init__(self, listener: Listener, table: Table, *, setuid: bool) -> None:
        self._listener, self._table, self._setuid = listener, table, setuid
        self._paths = Paths()

    def handlers(self) -> dict[str, Answer]:
        """All of them."""
        changing = {
            "chown": lambda call: self._chown(call, _HERE, 0, 1, 0),
            "lchown": lambda call: self._chown(call, _HERE, 0, 1, _NO_FOLLOW),
            "fchown": lambda call: self._owned(call, self._paths.descriptor(call.thread, call.arguments[0]), 1),
            "fchownat": lambda call: self._chown(call, _descriptor(call), 1, 2, call.arguments[4]),
            "mknod": lambda call: self._mknod(call, _HERE, 0),
            "mknodat": lambda call: self._mknod(call, _descriptor(call), 1),
        }
        return changing | {name: _or_pass(handler) for name, handler in self._kernels().items()}

    def _kernels(self) -> dict[str, Answer]:
        """Those whose failures the kernel finds and tells best itself."""
        return {
            "stat": lambda call: self._stat(call, _HERE, 0, 1, 0),
            "lstat": lambda call: self._stat(call, _HERE, 0, 1, _NO_FOLLOW),
            "fstat": lambda call: self._status(call, self._paths.descriptor(call.thread, call.arguments[0]), 1),
            "newfstatat": lambda call: self._stat(call, _descriptor(call), 1, 2, call.arguments[3]),
            "statx": self._statx,
            "open": lambda call: self._open(call, _HERE, 0, call.arguments[1], call.arguments[2]),
            "creat": lambda call: self._open(call, _HERE, 0, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, call.arguments[1]),
            "openat": lambda call: self._open(call, _descriptor(call), 1, call.arguments[2], call.arguments[3]),
            "openat2": self._openat2,
            "mkdir": lambda call: self._mkdir(call, _HERE, 0),
            "mkdirat": lambda call: self._mkdir(call, _descriptor(call), 1),
            "symlink": lambda call: self._symlink(call, _HERE, 1),
            "symlinkat": lambda call: self._symlink(call, _descriptor(call, 1), 2),
            "execve": lambda call: self._exec(call, _HERE, 0, 0),
            "execveat": lambda call: self._exec(call, _descriptor(call), 1, call.arguments[4]),
            "chroot": self._chroot,
        }

    # --- showing owners --------------------------------------------------------------------------

    def _stat(self, call: Notification, directory: int, path: int, buffer: int, flags: int) -> int:
        return self._status(call, self._place(call, directory, path, flags), buffer)

    def _status(self, call: Notification, place: Place, buffer: int) -> int:
        with place:
            if not _may_have_record(place):
                return PASS
            raw = raw_status(place.path, follow=place.follow)
            layout = machine()
            (mode,) = struct.unpack_from("=I", raw, layout.stat_mode)
            found = record(place.path, mode, follow=place.follow)
        if found is None:
            return PASS
        struct.pack_into("=II", raw, layout.stat_uid, found.uid, found.gid)
        if found.device is not None:
            struct.pack_into("=I", raw, layout.stat_mode, found.device[0] | stat.S_IMODE(mode))
            struct.pack_into("=Q", raw, layout.stat_rdev, found.device[1])
        write_memory(call.thread, call.arguments[buffer], raw)
        return 0

    def _statx(self, call: Notification) -> int:
        flags, mask = call.arguments[2] & 0xFFFFFFFF, call.arguments[3] & 0xFFFFFFFF
        with self._place(call, _descriptor(call), 1, flags) as place:
            if not _may_have_record(place):
                return PASS
            own = flags & ~(_NO_FOLLOW | _EMPTY_PATH) | (0 if place.follow else _NO_FOLLOW)
            raw = raw_statx(place.path, own, mask)
            (mode,) = struct.unpack_from("=H", raw, _STATX_MODE)
            found = record(place.path, mode, follow=place.follow)
        if found is None:
            return PASS
        struct.pack_into("=II", raw, _STATX_IDS, found.uid, found.gid)
        if found.device is not None:
            kind, number = found.device
            struct.pack_into("=H", raw, _STATX_MODE, kind | stat.S_IMODE(mode))
            struct.pack_into("=II", raw, _STATX_DEVICE, os.major(number), os.minor(number))
        write_memory(call.thread, call.arguments[4], raw)
        return 0

    # --- changing them ---------------------------------------------------------------------------

    def _chown(self, call: Notification, directory: int, path: int, owner: int, flags: int) -> int:
        return self._owned(call, self._place(call, directory, path, flags), owner)

    def _owned(self, call: Notification, place: Place, owner: int) -> int:
        wanted = (call.arguments[owner] & UNCHANGED, call.arguments[owner + 1] & UNCHANGED)
        with place:
            try:
                status = os.stat(place.path, follow_symlinks=place.follow)
            except OSError:
                return PASS
            before = record(place.path, status.st_mode, follow=place.follow) or Record(status.st_uid, status.st_gid)
            uid, gid = new_owner(self._who(call), (before.uid, before.gid), wanted)
            # The kernel's own part: what is refused, the bits and capabilities that are cleared, the time of change.
            own = [-1 if number == UNCHANGED else 0 for number in wanted]
            os.chown(place.path, own[0], own[1], follow_symlinks=place.follow)
            keep(place.path, Record(uid, gid, before.device), follow=place.follow)
        return 0

    # --- giving them to new files ----------------------------------------------------------------

    def _open(self, call: Notification, directory: int, path: int, flags: int, mode: int) -> int:
        who = self._who(call)
        follow = not flags & (os.O_NOFOLLOW | os.O_EXCL)
        with self._place(call, directory, path, 0 if follow else _NO_FOLLOW) as place:
            owner = _owner_of_new(who, place)
            if owner is None or (not flags & _TMPFILE and _is_there(place)):
                return PASS
            os.umask(umask(call.thread))
            try:
                fd = os.open(place.path, (flags & 0xFFFFFFFF) | os.O_CLOEXEC, mode & 0o7777)
            except OSError:
                return PASS  # to fail as it should
        return self._handed(call, fd, owner, flags)

    def _openat2(self, call: Notification) -> int:
        flags, mode, resolve = struct.unpack("=3Q", read_memory(call.thread, call.arguments[2], 24))
        # Confined walks (RESOLVE_*) are the kernel's: who asks for one makes few files, and as root.
        return PASS if resolve or not flags & CREATING else self._open(call, _descriptor(call), 1, flags, mode)

    def _handed(self, call: Notification, fd: int, owner: Record, flags: int) -> int:
        try:
            keep(fd, owner)
            self._listener.hand_over(call.identifier, fd, close_on_exec=bool(flags & os.O_CLOEXEC))
        finally:
            os.close(fd)
        return SENT

    def _mkdir(self, call: Notification, directory: int, path: int) -> int:
        mode = call.arguments[path + 1] & 0o7777
        return self._made(call, directory, path, lambda at: os.mkdir(at, mode))

    def _symlink(self, call: Notification, directory: int, path: int) -> int:
        target = read_string(call.thread, call.arguments[0])
        return self._made(call, directory, path, lambda at: os.symlink(target, at))

    def _mknod(self, call: Notification, directory: int, path: int) -> int:
        mode, device = call.arguments[path + 1] & 0o177777, call.arguments[path + 2] & 0xFFFFFFFF
        if stat.S_IFMT(mode) in _DEVICES and device:
            return self._device(call, self._place(call, directory, path, _NO_FOLLOW), mode, device)
        return self._made(call, directory, path, lambda at: os.mknod(at, mode))

    def _made(self, call: Notification, directory: int, path: int, make: Callable[[bytes], None]) -> int:
        with self._place(call, directory, path, _NO_FOLLOW) as place:
            owner = _owner_of_new(self._who(call), place)
            if owner is None:
                return PASS
            os.umask(umask(call.thread))
            try:
                make(place.path)
            except OSError:
                return PASS
            keep(place.path.rstrip(b"/"), owner)
        return 0

    def _device(self, call: Notification, place: Place, mode: int, device: int) -> int:
        who = self._who(call)
        if not who.privileged:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        with place:
            os.umask(umask(call.thread))
            os.mknod(place.path, stat.S_IFSOCK | stat.S_IMODE(mode))
            owner = _owner_of_new(who, place) or Record()
            keep(place.path, Record(owner.uid, owner.gid, (stat.S_IFMT(mode), device)))
        return 0

    # --- what changes who a process is, or where -------------------------------------------------

    def _exec(self, call: Notification, directory: int, path: int, flags: int) -> int:
        who = self._who(call)
        mode, owner = 0, (0, 0)
        if self._setuid:
            with self._place(call, directory, path, flags) as place:
                status = os.stat(place.path, follow_symlinks=place.follow)
                if status.st_mode & 0o6000 and not _is_script(place):
                    found = record(place.path, status.st_mode, follow=place.follow) or Record()
                    mode, owner = status.st_mode, (found.uid, found.gid)
        after = executed(who, mode, owner)
        if after != who:
            believe(call.thread, after, self._table)
        return PASS

    def _chroot(self, call: Notification) -> int:
        self._paths.roots = True
        return PASS

    def _who(self, call: Notification) -> Credentials:
        return believed(call.thread, self._table)

    def _place(self, call: Notification, directory: int, path: int, flags: int) -> Place:
        address = call.arguments[path]
        text = read_string(call.thread, address) if address else b""
        if not text and not flags & _EMPTY_PATH:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._paths.place(call.thread, directory, text, follow=not flags & _NO_FOLLOW)


def _or_pass(handler: Answer) -> Answer:
    def answer(call: Notification) -> int:
        try:
            return handler(call)
        except OSError:
            return PASS

    return answer


def _descriptor(call: Notification, argument: int = 0) -> int:
    """A directory's descriptor: an int, which may be negative (AT_FDCWD)."""
    number = call.arguments[argument] & 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number


def _may_have_record(place: Place) -> bool:
    names = os.listxattr(place.path, follow_symlinks=place.follow)
    return ATTRIBUTE in names or SPECIAL_ATTRIBUTE in names


def _is_there(place: Place) -> bool:
    try:
        os.stat(place.path, follow_symlinks=place.follow)
    except FileNotFoundError:
        return False
    return True


def _owner_of_new(who: Credentials, place: Place) -> Record | None:
    """What must be recorded of a file `who` makes; None for nothing. A setgid directory hands its group on."""
    above = place.path.rstrip(b"/").rpartition(b"/")[0] or b"/"
    status = os.stat(above)
    gid = who.group.files
    if status.st_mode & stat.S_ISGID:
        parent = record(above, status.st_mode, follow=True)
        gid = 0 if parent is None else parent.gid
    return Record(who.user.files, gid) if who.user.files or gid else None


def _is_script(place: Place) -> bool:
    """Set-user-ID bits of scripts mean nothing (execve(2))."""
    with open(place.path, "rb") as file:
        return file.read(2) == b"#!"
