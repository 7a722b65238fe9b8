"""Which file system a path lies on, from /proc: by the mount, since a device number says it of no btrfs and overlay."""

from __future__ import annotations

import os


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
