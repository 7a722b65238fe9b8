"""A copy told before it is done: the entries of the layer it would be, in the order of the layer's tar.

So layer and snapshot can be written in one pass (copylayer.py), and nothing need be read again to see what changed. The
entries are those that changes.py would find in an upper directory the copy had been made in. For what cannot be told
so (archives to unpack, access rules that are inherited) there is `Unplanned`: the copy is made in a root then.
"""

from __future__ import annotations

import os
import posixpath
import stat
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from msgspec import Struct
from msgspec.structs import replace

from builder.layers.changes import described
from builder.layers.copytarget import Source, no_directory, not_over, not_replaced
from builder.layers.entry import Entry, Kind
from builder.linux.paths import resolve_in_root
from builder.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2

_CONFINED = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
# What files inherit from their directory (acl(5)).
_INHERITED = "system.posix_acl_default"


class Unplanned(Exception):
    """That only making the copy tells what it is."""


class Item(Struct, gc=False):
    """An entry of the layer, with its time to the nanosecond, and what a file is made of.

    `below` is the directory that is there already, where the entry stands for one.
    """

    entry: Entry
    source: Source | None = None
    below: Entry | None = None


class Plan:
    """The Target that takes notes. `root`, a descriptor, shows the stack; nothing is written there."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._items: dict[str, Item] = {}
        self._linked = False

    def items(self) -> list[Item]:
        """What the layer has, parents first, siblings in byte order."""
        found: list[Item] = []
        needed: set[str] = set()
        for path in sorted(self._items, key=_order(self._items), reverse=True):
            item = self._items[path]
            if path in needed or item.below is None or _differs(item.entry, item.below):
                found.append(item)
                needed.add(_above(path))
        found.reverse()
        if self._linked and not _links_lead_back(found):
            raise Unplanned
        return found

    def resolved(self, path: str) -> str:
        """See Target."""
        return resolve_in_root(self._root, path)

    def is_directory(self, path: str) -> bool:
        """See Target."""
        if not path:
            return True
        found = self._at(path, self._items.get(_above(path)))
        return found is not None and found.kind is Kind.DIRECTORY

    def make_parents(self, path: str, owner: tuple[int, int]) -> None:
        """See Target."""
        parts = path.split("/") if path else []
        for number, part in enumerate(parts, 1):
            above = "/".join(parts[:number])
            holder = self._items.get(_above(above))
            found = self._at(above, holder)
            if found is None:
                seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
                made = Entry(above, Kind.DIRECTORY, 0o755, *owner, mtime=seconds, nanoseconds=nanoseconds)
                self._add(Item(made), holder)
            elif found.kind is not Kind.DIRECTORY:
                raise no_directory(path, part)
            else:
                self._kept(above, found)

    def directory(self, path: str) -> AbstractContextManager[str]:
        """See Target: there is none yet."""
        raise Unplanned

    def put(self, entry: Entry, source: Source | None = None, *, parent: bool = False) -> None:
        """See Target."""
        above = self._items.get(_above(entry.path))
        found = self._at(entry.path, above)
        if entry.kind is not Kind.DIRECTORY:
            if found is not None and found.kind is Kind.DIRECTORY:
                raise not_replaced(posixpath.basename(entry.path))
            if found is not None and self._linked:
                raise Unplanned  # what is left of a file with other names is not told here
            self._linked = self._linked or entry.kind is Kind.HARDLINK
            self._add(Item(entry, source), above)
            return
        if found is None:
            self._add(Item(entry), above)
            return
        if found.kind is not Kind.DIRECTORY:
            raise not_over(entry.path)
        item = self._kept(entry.path, found)
        if not parent:
            xattrs = tuple(sorted({**dict(item.entry.xattrs), **dict(entry.xattrs)}.items()))
            item.entry = replace(entry, xattrs=xattrs)

    def settle(self, directories: list[Entry]) -> None:
        """See Target."""
        for entry in directories:
            item = self._items[entry.path]
            if (item.entry.mtime, item.entry.nanoseconds) != (entry.mtime, entry.nanoseconds):
                item.entry = replace(item.entry, mtime=entry.mtime, nanoseconds=entry.nanoseconds)

    def _add(self, item: Item, above: Item | None) -> None:
        """Note `item`; `above` is the item of the directory it is in, if there is one."""
        self._items[item.entry.path] = item
        if above is not None and above.below is not None and above.entry.mtime == above.below.mtime:
            # That something is put into a directory shows in its time.
            seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
            above.entry = replace(above.entry, mtime=seconds, nanoseconds=nanoseconds)

    def _kept(self, path: str, found: Entry) -> Item:
        """The item of the directory `path`, which is there, or was put there."""
        item = self._items.get(path)
        if item is None:
            item = self._items[path] = Item(found, below=found)
        return item

    def _at(self, path: str, above: Item | None) -> Entry | None:
        """What is at `path`, put there or of the stack; `above` is the item of the directory it is in."""
        item = self._items.get(path)
        if item is not None:
            return item.entry
        if above is not None and above.below is None:
            return None  # in a directory that is new
        try:
            fd = openat2(self._root, path, os.O_PATH | os.O_NOFOLLOW, 0, _CONFINED)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return self._described(path, fd)
        finally:
            os.close(fd)

    def _described(self, path: str, fd: int) -> Entry:
        status = os.fstat(fd)
        if not stat.S_ISDIR(status.st_mode):
            return Entry(path, Kind.FILE)  # whatever it is, it is no directory
        found = described(path, f"/proc/self/fd/{fd}/.", status)
        assert found is not None
        if any(name == _INHERITED for name, _ in found.xattrs):
            raise Unplanned
        return replace(found, nanoseconds=status.st_mtime_ns % 1_000_000_000)


def inherits(directory: str) -> bool:
    """Whether files that are made in a directory get attributes from it."""
    return _INHERITED in os.listxattr(directory)


def _above(path: str) -> str:
    """The path of the directory `path` is in; five times as fast as posixpath.dirname, and asked twice a file."""
    return path.rpartition("/")[0]


def _links_lead_back(items: list[Item]) -> bool:
    """Whether each hard link is of an earlier entry: sources are in the order of characters, which may be another."""
    seen: set[str] = set()
    for item in items:
        if item.entry.kind is Kind.HARDLINK and item.entry.link not in seen:
            return False
        seen.add(item.entry.path)
    return True


def _differs(entry: Entry, below: Entry) -> bool:
    return (entry.mode, entry.uid, entry.gid, entry.xattrs) != (below.mode, below.uid, below.gid, below.xattrs)


def _order(paths: Iterable[str]) -> Callable[[str], str | bytes]:
    """A key to sort paths by: as a walk does that goes into a directory before its next sibling, names as bytes."""
    try:
        "".join(paths).encode()
    except UnicodeEncodeError:
        return lambda path: os.fsencode(path).replace(b"/", b"\0")
    # Of what is all text characters have the order of its bytes (RFC 3629), and take a third of the time.
    return lambda path: path.replace("/", "\0")
