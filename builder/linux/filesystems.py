"""What kind of file system a path is on, as /proc/self/mountinfo (proc_pid_mountinfo(5)) names it.

statfs(2) has a number for it, but Python does not call that, and numbers are one for all of FUSE.
"""

from __future__ import annotations

import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")


def kind_of(path: str | os.PathLike[str], mounts: Path = _MOUNTS) -> str:
    """Its type, such as `ext4`, `nfs4`, `fuse.sshfs`; empty where no mount is known (subvolumes, no /proc)."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        if fields.split()[2:3] == [wanted]:
            return rest.split()[0]
    return ""
