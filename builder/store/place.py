"""Whether a store can be in a directory: on a disk of this machine, where locks hold between processes."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from builder.errors import StoreError

# Machines would share the store: locks and SQLite's shared memory (sqlite.org/wal.html) hold within one.
_NETWORK = frozenset(
    (
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "lustre", "glusterfs", "beegfs",
        "pvfs2", "gfs2", "ocfs2", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone",
        "fuse.gcsfuse", "davfs", "fuse.davfs2",
    )
)  # fmt: skip
_HINT = "use a directory on a disk of this machine: --root DIR"
_NO = "its file system has no locks that hold between processes (flock)"
# flock(2), and what file systems without it answer
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO)


def check_place(root: Path) -> None:
    """Raises StoreError for a directory on a file system of the network, or without locks. On a disk: one stat(2)."""
    if os.major(os.stat(root).st_dev):
        return  # a block device's
    # lazy: few roots are on anything else
    from builder.linux.filesystems import kind_of

    kind = kind_of(root)
    if kind in _NETWORK:
        raise StoreError(f"the store cannot be in {root}: {kind} is a file system of the network", hint=_HINT)
    if (root / "locks").is_dir():
        check_locks(root / "locks")


def check_locks(directory: Path) -> None:
    """Raises StoreError where two processes could hold the same lock, tried with a file in `directory`."""
    path = directory / f"trial-{os.urandom(8).hex()}"
    first = second = -1
    try:
        first = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        second = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(first, fcntl.LOCK_EX)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    except OSError as error:
        if error.errno not in _NO_LOCKS or first < 0:
            raise
        raise StoreError(f"the store cannot be in {directory.parent}: {_NO}: {error.strerror}", hint=_HINT) from error
    finally:
        path.unlink(missing_ok=True)
        for fd in (first, second):
            if fd >= 0:
                os.close(fd)
    raise StoreError(f"the store cannot be in {directory.parent}: {_NO}: they exclude nobody", hint=_HINT)
