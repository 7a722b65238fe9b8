"""Which file system a path lies on, from /proc: by the mount, since a device number says it of no btrfs and overlay.

And what one can be told of how files lie on it.
"""

from __future__ import annotations

import fcntl
import os
import struct

# FS_TOPDIR_FL (linux/fs.h)
_TOP = 0x20000


def filesystem(path: str, mounts: str = "/proc/self/mountinfo") -> str:
    """The kernel's name of the file system of `path` (no link is followed), as `ext4`; empty where it does not say.

    Of one on FUSE with the program's, as `fuse.sshfs`. `mounts` is where the mounts are listed.
    """
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with open(f"/proc/self/fdinfo/{fd}", "rb") as info:
                number = next(line.split()[1] for line in info if line.startswith(b"mnt_id:"))
        finally:
            os.close(fd)
        with open(mounts, "rb") as lines:
            return next(_kind(line) for line in lines if line.split(b" ", 1)[0] == number)
    except (OSError, StopIteration):
        return ""


def _kind(line: bytes) -> str:
    """The type in a line of mountinfo: it stands behind the lone dash (proc_pid_mountinfo(5))."""
    fields = line.split()
    return fields[fields.index(b"-") + 1].decode(errors="replace")


def spread(directory: str) -> None:
    """Have each directory that is made in `directory` lie in a place of its own on the disk, where ext4 can do that.

    It looks for a new file's inode near the directory it is in, and passes over those that were freed in the last
    minutes one by one (ext4/ialloc.c, recently_deleted): where trees come and go, a new file costs ten times as much.
    Directories in one that is a top of hierarchies are put where most is free (ext4(5), chattr(1), attribute T).
    """
    size = struct.calcsize("l")  # by their names; what is passed is an int
    get, set_ = (way << 30 | size << 16 | ord("f") << 8 | number for way, number in ((2, 1), (1, 2)))
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        (flags,) = struct.unpack_from("i", fcntl.ioctl(fd, get, bytes(size)))
        fcntl.ioctl(fd, set_, struct.pack("i", flags | _TOP).ljust(size, b"\0"))
    except OSError:
        pass  # other file systems have no such thing, or not for everyone
    finally:
        os.close(fd)
