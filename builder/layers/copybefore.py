"""What a copy made before, kept so that the next one of the same does only what has changed since.

Of the layer: each entry with its place in the tar, and the frames of its blob (frames.py). Of the snapshot: which
entries are in its own directory, and which in the whole tree that it lies on (snapshots/active.py).

    plan (copyplan.py)   a  b  c* d  e          * is not as it was
    steps                [a b]  c  [d e]        a stretch of the earlier tar, an item, a stretch
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.layers.copyplan import Item
from builder.layers.entry import Entry, Kind
from builder.layers.frames import Frame

# The form of what is kept: another needs another name.
_FORM = b"pybuild copy 1\n"
# More than one in so many that are not in the tree below: then the next snapshot is a whole one again.
_MOST_OF = 4


class Kept(Struct, frozen=True, array_like=True, gc=False):
    """An entry of the layer, with all that makes its bytes and its file; `at` is where it begins in the tar.

    `above`: its file is in the snapshot's own directory, not in the tree below.
    """

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    nanoseconds: int
    digest: str
    link: str
    xattrs: tuple[tuple[str, bytes], ...]
    at: int
    above: bool

    def entry(self) -> Entry:
        """As it is in the tar."""
        digest = Digest(self.digest) if self.digest else None
        return Entry(
            self.path, self.kind, self.mode, self.uid, self.gid, self.size, self.mtime, digest, self.link,
            xattrs=self.xattrs,
        )  # fmt: skip


class Before(Struct, frozen=True, array_like=True):
    """A copy's layer: its diff ID, its blob (by hex) and the blob's size, the layer whose snapshot is the tree below.

    `end` is where the tar's last entry ends.
    """

    diff_id: str
    blob: str
    blob_size: int
    tree: str
    end: int
    frames: tuple[Frame, ...]
    entries: tuple[Kept, ...]


class Stretch(Struct, frozen=True):
    """Entries that are as they were, and where they are in the earlier tar."""

    begin: int
    end: int
    entries: tuple[Kept, ...]


class Steps(Struct, frozen=True):
    """What makes a layer of an earlier one. `stands`: its snapshot can lie on the earlier one's tree.

    Items that are in the snapshot's own directory are among `items`, whether they have changed or not.
    """

    steps: tuple[Stretch | Item, ...]
    stands: bool


def steps(items: Sequence[Item], before: Before) -> Steps:
    """What of the planned `items` is as it was."""
    known = {kept.path: (number, kept) for number, kept in enumerate(before.entries)}
    found: list[Stretch | Item] = []
    run: list[int] = []
    changed = 0
    gone = sum(not kept.above for kept in before.entries)
    stands = True
    for item in items:
        number, kept = known.get(item.entry.path, (-1, None))
        if kept is not None and not kept.above:
            gone -= 1
            stands = stands and (kept.kind is Kind.DIRECTORY) == (item.entry.kind is Kind.DIRECTORY)
        if kept is not None and not kept.above and _same(item, kept):
            if run and run[-1] + 1 != number:
                found.append(_stretch(run, before))
                run = []
            run.append(number)
            continue
        if run:
            found.append(_stretch(run, before))
            run = []
        found.append(item)
        changed += 1
        stands = stands and item.entry.kind is not Kind.HARDLINK
    if run:
        found.append(_stretch(run, before))
    stands = stands and not gone and changed * _MOST_OF <= len(items)
    return Steps(tuple(found), stands and not any(kept.kind is Kind.HARDLINK for kept in before.entries))


def _stretch(run: Sequence[int], before: Before) -> Stretch:
    entries = before.entries[run[0] : run[-1] + 1]
    after = run[-1] + 1
    end = before.entries[after].at if after < len(before.entries) else before.end
    return Stretch(entries[0].at, end, entries)


def _same(item: Item, kept: Kept) -> bool:
    """Whether an item makes the same bytes in the tar and the same file; of a file its content must be known."""
    entry, source = item.entry, item.source
    digest = ""
    if entry.kind is Kind.FILE:
        if source is None or source.entry is None or source.entry.fixed is None or source.entry.fixed.digest is None:
            return False
        digest = source.entry.fixed.digest.hex
    return (
        digest == kept.digest
        and entry.mtime == kept.mtime
        and entry.nanoseconds == kept.nanoseconds
        and entry.mode == kept.mode
        and entry.kind is kept.kind
        and (entry.uid, entry.gid, entry.link, entry.xattrs) == (kept.uid, kept.gid, kept.link, kept.xattrs)
        and entry.device == (0, 0)
    )


def encoded(before: Before) -> bytes:
    """As `decoded` reads it. Raises UnicodeEncodeError for names that are no text."""
    data = msgspec.msgpack.encode(before)
    return _FORM + hashlib.sha256(data).digest() + data


def decoded(data: bytes) -> Before | None:
    """What was kept; None for what was cut off, or is of another form."""
    head = len(_FORM) + 32
    if not data.startswith(_FORM) or hashlib.sha256(data[head:]).digest() != data[len(_FORM) : head]:
        return None
    try:
        return msgspec.msgpack.decode(data[head:], type=Before)
    except msgspec.MsgspecError:
        return None
