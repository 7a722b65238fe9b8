"""Another machine, as far as one can be had here: other variables, umask and host name; and another file system."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from builder.linux import syscalls

_ENVIRONMENT = {"TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "LC_ALL": "C.UTF-8", "COLUMNS": "40"}
_HOSTNAME = "somewhere-else"
_TEMPORARY = ("/dev/shm", "/var/tmp", "/tmp")


@contextmanager
def elsewhere() -> Iterator[None]:
    """Be there, with all processes that begin meanwhile. The host name stays for those who may not change it."""
    before = dict(os.environ)
    umask = os.umask(0o077)
    if umask == 0o077:
        os.umask(0o022)
    os.environ.update(_ENVIRONMENT)
    time.tzset()
    own = os.open("/proc/self/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            syscalls.unshare(syscalls.CLONE_NEWUTS)
            syscalls.sethostname(_HOSTNAME)
        yield
    finally:
        with suppress(OSError):
            syscalls.setns(own, syscalls.CLONE_NEWUTS)
        os.close(own)
        os.environ.clear()
        os.environ.update(before)
        time.tzset()
        os.umask(umask)


def other_directory(path: str, size: int) -> str | None:
    """A directory for temporary files on another file system than `path`, with ample room for `size` bytes.

    Directories are listed in another order there. None where there is none that programs may be run on.
    """
    device = os.stat(path).st_dev
    for found in (os.environ.get("TMPDIR", ""), *_TEMPORARY):
        with suppress(OSError):
            room = os.statvfs(found)
            usable = os.access(found, os.W_OK | os.X_OK) and not room.f_flag & os.ST_NOEXEC
            if usable and os.stat(found).st_dev != device and room.f_bavail * room.f_frsize > 4 * size:
                return found
    return None
