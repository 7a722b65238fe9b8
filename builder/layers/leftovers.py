"""What is in an upper directory and in no layer: copied up and left as it was, sockets, deletions of nothing.

On the stack it was made on it shows nothing that the layers below do not. Where the same layer lies on another stack
it would, so it is cleared away before the directory becomes the layer's snapshot.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from msgspec import Struct

from builder.layers.whiteout import clear_opaque


class Leftover(Struct, frozen=True):
    """Something at `path`; with `mark` only that the directory there is marked opaque."""

    path: str
    mark: bool = False


def clear(found: Sequence[Leftover]) -> None:
    """Remove what `changes` found, from the innermost on; the directories around it keep their times."""
    for leftover in sorted(found, key=lambda one: one.path.count("/"), reverse=True):
        if leftover.mark:
            clear_opaque(leftover.path)
            continue
        above = os.path.dirname(leftover.path)
        status = os.lstat(above)
        if stat.S_ISDIR(os.lstat(leftover.path).st_mode):
            os.rmdir(leftover.path)
        else:
            os.unlink(leftover.path)
        os.utime(above, ns=(status.st_atime_ns, status.st_mtime_ns))
