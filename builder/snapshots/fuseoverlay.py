"""Stacks by fuse-overlayfs(1): overlayfs as a program, for kernels and file systems that refuse the real one."""

from __future__ import annotations

import os
import signal
import time
from typing import NoReturn

from builder.errors import HostError
from builder.layers.whiteout import Form, set_form
from builder.linux import syscalls
from builder.linux.ids import find_program
from builder.snapshots.overlaymount import OverlayMount

_PROGRAM = "fuse-overlayfs"
_POLL_SECONDS = 0.002


def mount(wanted: OverlayMount) -> None:
    """See assembler.Mount. The program lives as long as the mount does, and ends with this process at the latest."""
    program = find_program(_PROGRAM)
    if program is None:
        raise HostError(f"{_PROGRAM} is not installed", hint="as root: apt-get install fuse-overlayfs")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise HostError("/dev/fuse cannot be opened", hint="as root: modprobe fuse; chmod 666 /dev/fuse")
    options = f"lowerdir={':'.join(map(_escaped, wanted.lowers))}"
    if wanted.upper is not None and wanted.work is not None:
        set_form(wanted.upper, Form(fuse=True))
        options += f",upperdir={_escaped(wanted.upper)},workdir={_escaped(wanted.work)}"
    said = os.memfd_create("fuse-overlayfs")
    try:
        before = os.stat(wanted.target).st_dev
        pid = syscalls.fork_tied()
        if pid == 0:
            _become([program, "-f", "-o", options, wanted.target], said)
        while os.stat(wanted.target).st_dev == before:
            if os.waitpid(pid, os.WNOHANG)[0]:
                raise HostError(f"{_PROGRAM} failed: {_last_line(said)}")
            time.sleep(_POLL_SECONDS)
    finally:
        os.close(said)
    read_only = syscalls.MOUNT_ATTR_RDONLY if wanted.upper is None else 0
    syscalls.mount_setattr(wanted.target, syscalls.MS_NODEV | read_only)


def _escaped(path: str) -> str:
    """A path as the program's options take it."""
    return "".join(f"\\{c}" if c in "\\:," else c for c in path)


def _become(argv: list[str], said: int) -> NoReturn:
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        null = os.open("/dev/null", os.O_RDWR)
        for fd, number in ((null, 0), (null, 1), (said, 2)):
            os.dup2(fd, number)
        os.execv(argv[0], argv)
    finally:
        os._exit(127)


def _last_line(said: int) -> str:
    lines = os.pread(said, 4096, 0).decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it says nothing"
