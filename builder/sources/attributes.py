"""Which extended attributes of a context's files are copied and in keys.

BuildKit sends all that a client can read, and leaves `security.*` (but capabilities), `system.*` and Apple's out of
its keys (cache/contenthash/tarsum.go there). Here nothing is copied that is not in the key, and nothing that root sees
and an ordinary user does not (`trusted.*`).
"""

from __future__ import annotations

import os

from builder.store.stats import Attributes

CAPABILITIES = "security.capability"
_USER = "user."
# What overlay file systems and pybuild note on their own files (xattr(7), overlayfs.rst, fuse-overlayfs(1)).
_NOTES = ("user.overlay.", "user.fuseoverlayfs.", "user.pybuild.")
# struct vfs_ns_cap_data of linux/capability.h: the revision is in the last of the first four bytes; the third has the
# ID of a namespace's root behind what the second has.
_REVISION, _LENGTH = 3, 20


def attributes(target: str | int) -> Attributes:
    """Those of the file or directory at a path (a link is not followed) or descriptor, by name."""
    try:
        names = os.listxattr(target, follow_symlinks=isinstance(target, int))
    except OSError:
        return ()
    if not names:
        return ()
    found = ((name, _value(target, name)) for name in sorted(names) if _counts(name))
    return tuple((name, value) for name, value in found if value is not None)


def _counts(name: str) -> bool:
    return name == CAPABILITIES or (name.startswith(_USER) and not name.startswith(_NOTES))


def _value(target: str | int, name: str) -> bytes | None:
    try:
        value = os.getxattr(target, name, follow_symlinks=isinstance(target, int))
    except OSError:  # gone, or capabilities for a namespace that is not ours: BuildKit passes over them too
        return None
    if name == CAPABILITIES and len(value) > _LENGTH and value[3] == _REVISION:
        return value[:3] + b"\x02" + value[4:_LENGTH]
    return value
