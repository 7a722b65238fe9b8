"""Processes of a step as the one that answers for them sees them: who they believe to be, and what their paths mean.

Who a process believes to be is kept by the kernel with the process: as the soft limit of file locks (RLIMITLOCKS,
which counts nothing since Linux 2.4.25; getrlimit(2)). So it is inherited by fork and kept by exec at no cost,
cannot be lost to a process that takes over a number, and ends with the process. To the step the limit looks as if
there were none, and stays as it is: pam_limits sets all limits anew.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress

from builder.linux.paths import open_in_root
from builder.sandbox.oneid.credentials import Credentials, Table

# RLIMIT_LOCKS
LOCKS = 10
_FIRST = 0x7079_0000_0000
_HERE = -100  # AT_FDCWD
_OWN = (b"/proc/self/", b"/proc/thread-self/")
_DEVICES = {b"/dev/stdin": b"0", b"/dev/stdout": b"1", b"/dev/stderr": b"2"}


def believed(thread: int, table: Table) -> Credentials:
    """Who the process of `thread` believes to be. Raises OSError when it is gone."""
    return table.get(resource.prlimit(thread, LOCKS)[0] - _FIRST)


def believe(thread: int, who: Credentials, table: Table) -> None:
    """Change that. Raises OSError when it is gone."""
    _, hard = resource.prlimit(thread, LOCKS)
    resource.prlimit(thread, LOCKS, (_FIRST + table.number(who), hard))


def umask(thread: int) -> int:
    """The file mode creation mask of a process. Raises OSError when it is gone. The working directory is /proc."""
    with open(f"{thread}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    return 0o022


class Place:
    """A path of another process as this process can use it. The working directory is /proc, the root the step's.

    `path` is to be followed if `follow`. Close it when done.
    """

    def __init__(self, path: bytes, follow: bool, held: int = -1) -> None:
        self.path, self.follow, self._held = path, follow, held

    def close(self) -> None:
        """Let go of what it holds."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Paths:
    """Turns paths of processes into places. Raises OSError as the kernel would for them."""

    def __init__(self) -> None:
        # Set at the first chroot(2): until then all have the same root.
        self.roots = False

    def place(self, thread: int, directory: int, path: bytes, *, follow: bool = True) -> Place:
        """`path` as `thread` means it: from its root, its working directory or its descriptor `directory`."""
        if not path:
            return Place(self._base(thread, directory), True)
        if self.roots and (root := os.readlink(b"%d/root" % thread)) != b"/":
            return self._rooted(thread, directory, path, follow, root)
        if not path.startswith(b"/"):
            return Place(b"%b/%b" % (self._base(thread, directory), path), follow)
        return Place(self._own(thread, path), follow)

    def descriptor(self, thread: int, fd: int) -> Place:
        """What a descriptor of `thread` is open at."""
        return Place(b"%d/fd/%d" % (thread, fd), True)

    def _base(self, thread: int, directory: int) -> bytes:
        return b"%d/cwd" % thread if directory == _HERE else b"%d/fd/%d" % (thread, directory)

    def _own(self, thread: int, path: bytes) -> bytes:
        """What leads to the process itself leads this process elsewhere.

        A path with `..` is left as it is, and found to lead nowhere: from a directory of the host's /proc it could
        lead up to other processes, and to the host.
        """
        if b".." in path.split(b"/"):
            return path
        for prefix in _OWN:
            if path.startswith(prefix):
                return b"%d/%b" % (thread, path.removeprefix(prefix))
        if path.startswith(b"/dev/fd/"):
            return b"%d/fd/%b" % (thread, path.removeprefix(b"/dev/fd/"))
        return b"%d/fd/%b" % (thread, _DEVICES[path]) if path in _DEVICES else path

    def _rooted(self, thread: int, directory: int, path: bytes, follow: bool, root: bytes) -> Place:
        """For a process with a root of its own, whose links must stay inside."""
        if not path.startswith(b"/"):
            base = os.readlink(self._base(thread, directory))
            path = base.removeprefix(root) + b"/" + path
        above, _, name = path.rstrip(b"/").rpartition(b"/")
        fd = os.open(b"%d/root" % thread, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if follow or name in (b"", b".", b".."):
                with suppress(FileNotFoundError):
                    held = open_in_root(fd, os.fsdecode(path))
                    return Place(b"self/fd/%d" % held, True, held)
            held = open_in_root(fd, os.fsdecode(above))
            return Place(b"self/fd/%d/%b" % (held, name), False, held)
        finally:
            os.close(fd)
