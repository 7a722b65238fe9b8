"""What a stack of layers shows, without mounting it: directory by directory, as overlayfs merges them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from msgspec import Struct

from builder.layers.whiteout import OPAQUE_NAME, hidden_name, is_opaque_somehow


class Shown(Struct):
    """An entry of a merged directory: where it lies, its status, and for a directory all that it merges, topmost first.

    `lowers` is empty for anything else.
    """

    path: str
    status: os.stat_result
    lowers: list[str]


def listing(lowers: Sequence[str]) -> dict[str, Shown]:
    """What the directories `lowers` (topmost first, none of them hidden by another) show together, by name."""
    found: dict[str, Shown | None] = {}
    closed: set[str] = set()
    for lower in lowers:
        with os.scandir(lower) as entries:
            for item in entries:
                _lay(found, closed, item)
    return {name: shown for name, shown in found.items() if shown is not None}


def _lay(found: dict[str, Shown | None], closed: set[str], item: os.DirEntry[str]) -> None:
    """Put an entry below those of its name that are there already."""
    status = item.stat(follow_symlinks=False)
    hidden = hidden_name(item.name, status)
    name = hidden or item.name
    if name in closed or name == OPAQUE_NAME:
        return
    is_directory = stat.S_ISDIR(status.st_mode)
    above = found.get(name)
    if not is_directory or is_opaque_somehow(item.path):
        closed.add(name)
    if above is None:
        shown = Shown(item.path, status, [item.path] if is_directory else [])
        found[name] = None if hidden else shown
    elif is_directory:
        above.lowers.append(item.path)
