"""A copy of a stack that was worked on, side by side with the stack.

What overlayfs would have told is found out otherwise. An entry is a new one if it came to be after the copy was
complete, and so is a directory that is not where it was copied to, with all that is in it: overlayfs moves none, so
that programs copy them. An entry that is no new one may have changed if its status did since.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from msgspec import Struct

from builder.layers.merged import Shown, listing
from builder.layers.whiteout import is_in_place
from builder.linux.syscalls import born


class Pair(Struct):
    """What the copy has at `path`, at `source` (its status is None: nothing), and what the stack shows there.

    `new`: it is another thing than was copied there; `touched`: something of it has changed since.
    """

    path: str
    source: str
    status: os.stat_result | None
    below: Shown | None
    new: bool
    touched: bool


class _Level(Struct):
    """A directory being walked, what the stack shows in it, and the names of both that are left."""

    path: str
    source: str
    below: dict[str, Shown]
    names: Iterator[str]


def pairs(tree: str, lowers: Sequence[str], since: int) -> Iterator[Pair]:
    """All that is in the copy `tree` or shown by `lowers`, parents first, siblings in byte order.

    `since` is when the copy was complete, in nanoseconds.
    """
    todo = [_level("", tree, lowers)]
    while todo:
        level = todo[-1]
        name = next(level.names, None)
        if name is None:
            todo.pop()
            continue
        path = f"{level.path}/{name}" if level.path else name
        pair = _pair(path, f"{level.source}/{name}", level.below.get(name), since)
        yield pair
        if pair.status is not None and stat.S_ISDIR(pair.status.st_mode):
            todo.append(_level(path, pair.source, () if pair.new or pair.below is None else pair.below.lowers))


def _pair(path: str, source: str, below: Shown | None, since: int) -> Pair:
    try:
        status = os.lstat(source)
    except FileNotFoundError:
        return Pair(path, source, None, below, new=False, touched=True)
    touched = status.st_ctime_ns > since
    return Pair(path, source, status, below, below is None or _is_new(path, source, status, below, since), touched)


def _is_new(path: str, source: str, status: os.stat_result, below: Shown, since: int) -> bool:
    if stat.S_ISDIR(status.st_mode):
        return not is_in_place(source, path) or (born(source) or 0) > since
    # Copying up one name of a file that has several, overlayfs makes a new file of it (without `index`). Links and
    # nodes are told apart by what they are alone.
    parted = status.st_ctime_ns > since and below.status.st_nlink > 1
    return stat.S_ISREG(status.st_mode) and (parted or (born(source) or 0) > since)


def _level(path: str, source: str, lowers: Sequence[str]) -> _Level:
    below = listing(lowers)
    return _Level(path, source, below, iter(sorted({*os.listdir(source), *below}, key=os.fsencode)))
