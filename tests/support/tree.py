"""File trees as values: everything about each path that two programs could see differently."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from pathlib import Path
from typing import NamedTuple


class Node(NamedTuple):
    """One path. `content`: digest of a file, target of a link, numbers of a device. `twins`: other hard links."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    content: str
    twins: tuple[str, ...]
    xattrs: tuple[tuple[str, bytes], ...]


def tree(root: Path) -> dict[str, Node]:
    """All that lies below `root`, by path relative to it."""
    paths = [
        os.path.relpath(os.path.join(directory, name), root)
        for directory, directories, files in os.walk(root)
        for name in (*directories, *files)
    ]
    inodes: dict[int, list[str]] = {}
    for path in sorted(paths):
        inodes.setdefault(os.lstat(root / path).st_ino, []).append(path)
    return {path: _node(root, path, inodes) for path in sorted(paths)}


def _node(root: Path, path: str, inodes: dict[int, list[str]]) -> Node:
    full = root / path
    found = os.lstat(full)
    kind = stat.filemode(found.st_mode)[0]
    content = ""
    if kind == "-":
        content = hashlib.sha256(full.read_bytes()).hexdigest()
    elif kind == "l":
        content = os.readlink(full)
    elif kind in "bc":
        content = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    twins = tuple(p for p in inodes[found.st_ino] if p != path)
    xattrs = tuple(
        (name, os.getxattr(full, name, follow_symlinks=False))
        for name in sorted(os.listxattr(full, follow_symlinks=False))
        if not name.startswith(("security.selinux", "trusted.overlay."))
    )
    mode = stat.S_IMODE(found.st_mode)
    return Node(kind, mode, found.st_uid, found.st_gid, int(found.st_mtime), content, twins, xattrs)


def listing(path: Path, *, sizes: bool = True) -> list[str]:
    """A line for each entry of a tar: all that a layer keeps but contents and times."""
    with tarfile.open(path) as archive:
        return [
            f"{m.name} {m.type!r} {m.mode:o} {m.uid}:{m.gid} {m.linkname} {m.devmajor},{m.devminor} "
            f"{m.size if sizes else ''} {[(k, v) for k, v in m.pax_headers.items() if 'xattr' in k]}"
            for m in archive
        ]
