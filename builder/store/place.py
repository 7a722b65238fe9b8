"""Whether a store can be in a directory: on a disk of this machine, where locks hold between processes."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
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
_KINDS_HINT = "use a directory on ext4, xfs, btrfs or tmpfs: --root DIR"
# overlayfs's marks, and the owners of one who has a single ID; either will do where the other is refused.
_ATTRIBUTES = ("trusted.pybuild.probe", "user.pybuild.probe")
# flock(2), and what file systems without it answer
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO)


def check_place(root: Path) -> None:
    """Raises StoreError for a directory on a file system of the network, or without locks. On a disk: one stat(2)."""
    if os.major(os.stat(root).st_dev):
        return  # a block device's
    # lazy: few roots are on anything else
    from builder.linux.filesystem import filesystem

    kind = filesystem(os.path.realpath(root))
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


def check_files(root: Path) -> None:
    """Raises StoreError unless files in `root` can be all that layers need: tried, for no name of a type tells it."""
    probe = root / f"tmp/probe-{os.urandom(8).hex()}"
    fd = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with suppress(FileNotFoundError):
            if os.path.samestat(os.lstat(probe.with_name(probe.name.upper())), os.fstat(fd)):
                raise StoreError(f"the file system of {root} takes A and a for the same name", hint=_KINDS_HINT)
        if not any(_takes(fd, name) for name in _ATTRIBUTES):
            raise StoreError(f"the file system of {root} keeps no extended attributes of files", hint=_KINDS_HINT)
    finally:
        os.close(fd)
        probe.unlink()


def _takes(fd: int, name: str) -> bool:
    try:
        os.setxattr(fd, name, b"1")
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
            raise
        return False
    return True
