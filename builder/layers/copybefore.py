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

from builder.layers.copyplan import Item
from builder.layers.entry import Entry, Kind
from builder.layers.frames import Frame
from builder.readied import readied

# The form of what is kept: another needs another name.
_FORM = b"pybuild copy 2\n"
# More than one in so many that are not in the tree below: then the next copy is a whole one again.
_MOST_OF = 4
# And so many times as many entries at most that there were before: all of them are unpacked.
_MOST_GONE = 2


class Before(Struct, frozen=True, array_like=True):
    """A copy's layer: its diff ID, its blob (by hex) and the blob's size, the layer whose snapshot is the tree below.

    `entries` have their times to the nanosecond, as their files have; `begins` is where each begins in the tar, and
    where the last one ends. `above` are the paths of those that are in the snapshot's own directory, not in the tree
    below.
    """

    diff_id: str
    blob: str
    blob_size: int
    tree: str
    frames: tuple[Frame, ...]
    begins: tuple[int, ...]
    above: frozenset[str]
    entries: tuple[Entry, ...]


class Stretch(Struct, frozen=True):
    """Entries that are as they were, and where they are in the earlier tar: from where each one begins to `end`."""

    begins: tuple[int, ...]
    end: int
    entries: tuple[Entry, ...]

    @property
    def begin(self) -> int:
        """Where the first one begins."""
        return self.begins[0]


class Steps(Struct, frozen=True):
    """What makes a layer of an earlier one. `pays`: that is less work than to make it anew; `stands`: and its snapshot
    can lie on the earlier one's tree.

    Items that are in the snapshot's own directory are among `items`, whether they have changed or not.
    """

    steps: tuple[Stretch | Item, ...]
    pays: bool
    stands: bool


def steps(items: Sequence[Item], before: Before) -> Steps:
    """What of the planned `items` is as it was."""
    entries, above = before.entries, before.above
    known: dict[str, int] = {}
    found: list[Stretch | Item] = []
    # Of the run of equal entries: where it began, and what comes next in it.
    begun = after = 0
    changed, gone = 0, len(entries) - len(above)
    stands = True
    for item in items:
        entry = item.entry
        # Mostly the next one: then the others need not be looked up.
        number = after if after < len(entries) and entries[after].path == entry.path else -1
        if number < 0:
            known = known or {kept.path: place for place, kept in enumerate(entries)}
            number = known.get(entry.path, -1)
        if number >= 0 and entry.path not in above:
            gone -= 1
            kept = entries[number]
            if _same(entry, kept):
                if number != after:
                    found += _stretch(begun, after, before)
                    begun = number
                after = number + 1
                continue
            stands = stands and (kept.kind is Kind.DIRECTORY) == (entry.kind is Kind.DIRECTORY)
        found += _stretch(begun, after, before)
        # What has changed is mostly where it was.
        begun = after = number + 1 if number >= 0 else after
        found.append(item)
        changed += 1
        stands = stands and entry.kind is not Kind.HARDLINK
    found += _stretch(begun, after, before)
    pays = changed * _MOST_OF <= len(items) and len(entries) <= _MOST_GONE * len(items)
    stands = stands and pays and not gone and not any(kept.kind is Kind.HARDLINK for kept in entries)
    return Steps(tuple(found), pays, stands)


def _stretch(first: int, end: int, before: Before) -> list[Stretch]:
    """The entries from `first` up to `end`; none where there are none."""
    if first == end:
        return []
    return [Stretch(before.begins[first:end], before.begins[end], before.entries[first:end])]


def _same(entry: Entry, kept: Entry) -> bool:
    """Whether an entry makes the same bytes in the tar and the same file; of a file its content must be known."""
    return entry == kept and (entry.kind is not Kind.FILE or entry.digest is not None)


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
        return msgspec.msgpack.decode(data[head:], type=readied(Before))
    except msgspec.MsgspecError:
        return None
