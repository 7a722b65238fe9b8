"""Who owns a file of a layer, also where only one ID is mapped: there the owner root would see is recorded.

With all IDs mapped (root, or an ordinary user with subordinate ranges) owners are the kernel's own. With one, every
file belongs to the user who builds, and an owner other than 0:0 is an extended attribute of the inode, so that it
goes with renames, hard links and overlayfs's copies, and dies with the file:

    files, directories    `user.pybuild.owner`, the text `uid:gid`
    everything else       `security.capability`: user attributes are refused there (xattr(7)), and capabilities mean
                          nothing on what no one can execute; its sixteen bytes hold the record
    devices               a socket, which cannot be opened either, with such a record that names the device

No ordinary user can make devices: theirs are recorded also where other owners are real.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from contextlib import suppress
from functools import cache

from msgspec import Struct

from builder.errors import HostError
from builder.linux.ids import in_user_namespace, mapped

ATTRIBUTE = "user.pybuild.owner"
SPECIAL_ATTRIBUTE = "security.capability"
# struct vfs_cap_data of revision 2 (linux/capability.h): the kernel looks at the first number alone.
_SPECIAL = struct.Struct("<IIIII")
_REVISION = 0x02000000
_MARK, _DEVICE_MARK = 0x6E77, 0x7665
_LARGEST = 0xFFFFFFFE


class Seen(Struct, frozen=True):
    """What root would see of a file: `mode` with its type, owner, and the number of the device it is."""

    mode: int
    uid: int
    gid: int
    device: int = 0


class Record(Struct, frozen=True):
    """A recorded owner; `device` is type and number (`mode`, `st_rdev`) of the device a socket stands for."""

    uid: int = 0
    gid: int = 0
    device: tuple[int, int] | None = None


@cache
def one_id() -> bool:
    """Whether this process's user namespace has a single user or group, so that owners must be recorded."""
    return any(sum(count for _, count in mapped(kind)) == 1 for kind in ("uid", "gid"))


def seen(target: str | int, status: os.stat_result, *, follow: bool = False) -> Seen:
    """What root would see of the file at `target`, whose status is `status`; a link is followed if `follow`."""
    owner, mode, device = (status.st_uid, status.st_gid), status.st_mode, status.st_rdev
    if one_id() or stat.S_ISSOCK(mode):
        found = record(target, mode, follow=follow)
        if found is not None and one_id():
            owner = found.uid, found.gid
        if found is not None and found.device is not None and stat.S_ISSOCK(mode):
            mode, device = found.device[0] | stat.S_IMODE(mode), found.device[1]
    return Seen(mode, *owner, device)


def set_owner(target: str | int, uid: int, gid: int) -> None:
    """Change the owner of a path (a link is not followed) or descriptor. As chown(2), it may clear setuid bits."""
    if one_id():
        keep(target, Record(uid, gid))
    elif isinstance(target, int):
        os.fchown(target, uid, gid)
    else:
        os.chown(target, uid, gid, follow_symlinks=False)


def give(target: str | int, uid: int, gid: int) -> None:
    """As `set_owner`. Raises HostError for an ID that is not mapped here."""
    try:
        set_owner(target, uid, gid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise _unmapped(uid, gid) from error


def check_mapped(uid: int, gid: int) -> None:
    """Raises HostError unless files can belong to both here (user_namespaces(7))."""
    for kind, number in (("uid", uid), ("gid", gid)):
        possible = [(0, _LARGEST + 1)] if one_id() else mapped(kind)
        if not any(first <= number < first + count for first, count in possible):
            raise _unmapped(uid, gid)


def make_node(path: str, mode: int, device: int, owner: tuple[int, int]) -> None:
    """mknod(2) of a FIFO or device for `owner`; a device is recorded where none can be made. Raises OSError."""
    recorded = stat.S_IFMT(mode) in (stat.S_IFCHR, stat.S_IFBLK) and in_user_namespace()
    os.mknod(path, stat.S_IFSOCK | stat.S_IMODE(mode) if recorded else mode, 0 if recorded else device)
    set_owner(path, *owner)
    if recorded:  # last: changing the owner takes such attributes away
        keep(path, Record(*owner, (stat.S_IFMT(mode), device)))


def _unmapped(uid: int, gid: int) -> HostError:
    return HostError(
        f"nothing can belong to {uid}:{gid} here",
        hint="an ordinary user has as many IDs as the ranges in /etc/subuid and /etc/subgid are long",
    )


# --- records -------------------------------------------------------------------------------------


def record(target: str | bytes | int, mode: int, *, follow: bool = False) -> Record | None:
    """The record of a file whose mode (with its type) is `mode`; None where there is none."""
    plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    name = ATTRIBUTE if plain else SPECIAL_ATTRIBUTE
    try:
        data = os.getxattr(target, name, follow_symlinks=follow or isinstance(target, int))
    except OSError:
        return None
    return parsed(data) if plain else parsed_special(data)


def keep(target: str | bytes | int, what: Record, *, follow: bool = False) -> None:
    """Record `what`, instead of what was recorded; the device a file stands for stays. Raises OSError.

    A file system that keeps no attributes (none that layers lie on) leaves the owner as it is.
    """
    follow = follow or isinstance(target, int)
    mode = os.stat(target, follow_symlinks=follow).st_mode
    plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    name = ATTRIBUTE if plain else SPECIAL_ATTRIBUTE
    if stat.S_ISSOCK(mode) and what.device is None:
        before = record(target, mode, follow=follow)
        what = Record(what.uid, what.gid, None if before is None else before.device)
    if what == Record():
        with suppress(OSError):  # there was none
            os.removexattr(target, name, follow_symlinks=follow)
        return
    try:
        os.setxattr(target, name, text(what) if plain else special(what), follow_symlinks=follow)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


def is_record(name: str, value: bytes = b"") -> bool:
    """Whether an extended attribute is a record, which never belongs into a layer."""
    return name == ATTRIBUTE or (name == SPECIAL_ATTRIBUTE and parsed_special(value) is not None)


def text(what: Record) -> bytes:
    """The record of a file or directory."""
    return b"%d:%d" % (what.uid, what.gid)


def parsed(data: bytes) -> Record | None:
    """What `text` wrote; None for anything else, since a step can write what it likes."""
    uid, _, gid = data.partition(b":")
    if not (uid.isdigit() and gid.isdigit() and len(data) < 32):
        return None
    ids = int(uid), int(gid)
    return Record(*ids) if max(ids) <= _LARGEST else None


def special(what: Record) -> bytes:
    """The record of anything else, in the form of file capabilities."""
    if what.device is None:
        return _SPECIAL.pack(_REVISION, what.uid, what.gid, 0, _MARK)
    kind, number = what.device
    packed = os.major(number) << 20 | os.minor(number)
    return _SPECIAL.pack(_REVISION, what.uid, what.gid, packed, _DEVICE_MARK << 16 | kind)


def parsed_special(data: bytes) -> Record | None:
    """What `special` wrote; None for real capabilities and anything else."""
    if len(data) != _SPECIAL.size:
        return None
    revision, uid, gid, packed, mark = _SPECIAL.unpack(data)
    if revision != _REVISION or max(uid, gid) > _LARGEST:
        return None
    if mark == _MARK:
        return Record(uid, gid)
    kind = mark & 0xFFFF
    if mark >> 16 != _DEVICE_MARK or kind not in (stat.S_IFCHR, stat.S_IFBLK):
        return None
    return Record(uid, gid, (kind, os.makedev(packed >> 20, packed & 0xFFFFF)))
