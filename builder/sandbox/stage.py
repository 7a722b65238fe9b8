"""The stage: a tmpfs on which process 1 has ready what every step of a shape sees, until it gets the step's root.

    <place>/proc, sys, dev     moved to the root when there is one
            root               the root, a detached mount that came as a descriptor
            file-0, …          what files of the step's own hold (ops.File)

It covers a directory of this machine in process 1's mount namespace alone, and is gone with all of that machine's files
when the step's root becomes `/`.
"""

from __future__ import annotations

import os

from builder.linux import syscalls
from builder.linux.paths import open_in_root
from builder.sandbox import targets
from builder.sandbox.ops import NOSUID_NODEV, Bind, attach, common, new, told
from builder.sandbox.spec import BindMount, Shape, StepSpec

_ROOT = "root"


def staged(shown: Shape, place: str) -> int:
    """Cover `place` with a stage that has what every step of a shape has; gives a descriptor of it."""
    mount = new("tmpfs", NOSUID_NODEV, mode="755")
    try:
        syscalls.move_mount(mount, place)
    finally:
        os.close(mount)
    stage = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in (_ROOT, *targets.KEPT):
        os.mkdir(name.lstrip("/"), 0o755, dir_fd=stage)
    for op in common(shown):
        with told(op):
            op.apply(stage, stage)
    return stage


def entered(stage: int, tree: int) -> int:
    """Attach the detached root `tree` on the stage, and move to it what is there for every step; gives its descriptor.

    It must be a mount of this process's namespace before anything can be mounted in it.
    """
    attach(stage, _ROOT, tree)
    root = os.open(_ROOT, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=stage)
    for target in targets.KEPT:
        place = open_in_root(root, target)
        try:
            syscalls.move_mount(stage, place, target.lstrip("/"))
        finally:
            os.close(place)
    return root


def opened(spec: StepSpec) -> list[int]:
    """Detached copies of what the bind mounts of `spec` show, in order. Raises OSError that tells which it is of."""
    found: list[int] = []
    try:
        for mount in spec.mounts:
            if isinstance(mount, BindMount):
                with told(Bind(mount)):
                    found.append(syscalls.open_tree(mount.source, recursive=True))
    except OSError:
        for fd in found:
            os.close(fd)
        raise
    return found
