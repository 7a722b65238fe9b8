"""`Entry`: one path of a layer, as it stands in the tar, in the content ID and in file lists."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from builder.digest import Digest


class Kind(StrEnum):
    """What an entry is. `HARDLINK` names another entry of the same layer in `link`."""

    FILE = "file"
    DIRECTORY = "dir"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    CHAR = "char"
    BLOCK = "block"
    FIFO = "fifo"
    WHITEOUT = "whiteout"
    OPAQUE = "opaque"


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One path below the layer's root.

    `path` is relative, without leading or trailing slash, in os.fsdecode form (surrogateescape);
    the root itself is "". `mode` holds permission, setuid, setgid and sticky bits only. `size` in
    bytes and `digest` are for FILE only. `mtime` is in whole seconds (kept in the tar, never in
    the content ID); `nanoseconds` are on top of it, none in layers made here. WHITEOUT deletes `path`
    of the layers below; OPAQUE empties directory `path`.
    """

    path: str
    kind: Kind
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    digest: Digest | None = None
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    nanoseconds: int = 0
