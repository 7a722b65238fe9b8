"""An overlay upper dir → the ordered entries of its layer.

A copied-up entry that equals the one below is no change; an unchanged directory is only told of when
something in it is (as containerd's differ does, so that every parent is in the tar).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from builder.errors import BadInputError
from builder.layers.entry import Entry, Kind
from builder.layers.whiteout import has_origin, is_opaque, is_overlay_xattr, is_whiteout
from builder.linux.owners import Seen, is_record, seen

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}


def changes(upper: str, lowers: Sequence[str]) -> Iterator[tuple[Entry, str]]:
    """Entries of the upper dir with the path each is read from, parents first, siblings in byte order.

    `lowers` are the directories below, topmost first. Sockets are left out. File entries have no digest yet.
    """
    links: dict[tuple[int, int], str] = {}
    pending: list[tuple[Entry, str]] = []
    for entry, path, status, changed in _walk(upper, lowers):
        while pending and not _is_above(pending[-1][0].path, entry.path):
            pending.pop()
        if entry.kind is Kind.DIRECTORY and not changed:
            pending.append((entry, path))
            continue
        if not changed:
            continue
        yield from pending
        pending.clear()
        if entry.kind not in (Kind.DIRECTORY, Kind.WHITEOUT) and status.st_nlink > 1:
            first = links.setdefault((status.st_dev, status.st_ino), entry.path)
            if first != entry.path:
                entry = replace(entry, kind=Kind.HARDLINK, link=first, size=0)
        yield entry, path
        if entry.kind is Kind.DIRECTORY and is_opaque(path):
            yield Entry(entry.path, Kind.OPAQUE), path


def single(path: str) -> tuple[Entry, str]:
    """The file at `path` as an entry, called by its name alone, with that path. Raises BadInputError for a socket."""
    status, name = os.lstat(path), os.path.basename(path)
    found = seen(path, status)
    kind = _KINDS.get(stat.S_IFMT(found.mode))
    if kind is None:
        raise BadInputError(f"{name} is a socket, which has no content")
    return _entry(name, kind, path, status, found), path


def _is_above(directory: str, path: str) -> bool:
    return path.startswith(directory + "/")


def _walk(upper: str, lowers: Sequence[str]) -> Iterator[tuple[Entry, str, os.stat_result, bool]]:
    """All entries with their status, and whether they differ from what lies below."""
    todo = [("", iter(_sorted(upper)))]
    while todo:
        base, entries = todo[-1]
        item = next(entries, None)
        if item is None:
            todo.pop()
            continue
        path = f"{base}/{item.name}" if base else item.name
        status = item.stat(follow_symlinks=False)
        found = seen(item.path, status)
        kind = _KINDS.get(stat.S_IFMT(found.mode))
        if kind is None:
            continue
        if is_whiteout(status):
            # One that hides nothing (made and deleted in the same step) deletes nothing either.
            yield Entry(path, Kind.WHITEOUT), item.path, status, _below(path, lowers) is not None
            continue
        entry = _entry(path, kind, item.path, status, found)
        yield entry, item.path, status, _changed(entry, item.path, status, found, lowers)
        if kind is Kind.DIRECTORY:
            todo.append((path, iter(_sorted(item.path))))


def _sorted(directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return sorted(entries, key=lambda e: os.fsencode(e.name))


def described(path: str, source: str, status: os.stat_result) -> Entry | None:
    """The entry `path` of a layer as it lies at `source`; None for a socket."""
    found = seen(source, status)
    kind = _KINDS.get(stat.S_IFMT(found.mode))
    return None if kind is None else _entry(path, kind, source, status, found)


def _entry(path: str, kind: Kind, source: str, status: os.stat_result, found: Seen) -> Entry:
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(found.mode),
        uid=found.uid,
        gid=found.gid,
        size=status.st_size if kind is Kind.FILE else 0,
        mtime=status.st_mtime_ns // 1_000_000_000,
        link=os.readlink(source) if kind is Kind.SYMLINK else "",
        device=(os.major(found.device), os.minor(found.device)) if kind in (Kind.CHAR, Kind.BLOCK) else (0, 0),
        xattrs=xattrs(source),
    )


def xattrs(path: str) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes of a layer, sorted by name: without overlayfs's, SELinux's and recorded owners."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return ()
    kept = (name for name in sorted(names) if not is_overlay_xattr(name) and name != "security.selinux")
    found = ((name, os.getxattr(path, name, follow_symlinks=False)) for name in kept)
    return tuple((name, value) for name, value in found if not is_record(name, value))


def _changed(entry: Entry, path: str, status: os.stat_result, found: Seen, lowers: Sequence[str]) -> bool:
    if not (has_origin(path) or _may_lack_origin(entry, path)):
        return True
    below = _below(entry.path, lowers)
    if below is None:
        return True
    other = os.lstat(below)
    same = (
        found == seen(below, other)
        and (entry.kind is not Kind.SYMLINK or entry.link == os.readlink(below))
        # the time of a directory tells only that something in it came or went
        and (entry.kind is Kind.DIRECTORY or (status.st_mtime_ns, status.st_size) == (other.st_mtime_ns, other.st_size))
        and entry.xattrs == xattrs(below)
    )
    return not same


def _may_lack_origin(entry: Entry, path: str) -> bool:
    """Whether overlayfs could not mark a copy as such: an ordinary user's marks are only on files and directories.

    One that equals what lies below is then no change, whether it was copied or made anew.
    """
    if entry.kind in (Kind.FILE, Kind.DIRECTORY):
        return False
    parents = path
    for _ in range(entry.path.count("/")):
        parents = os.path.dirname(parents)
        if is_opaque(parents):
            return False
    return True


def _below(path: str, lowers: Sequence[str]) -> str | None:
    """The path of the entry that the lower dirs show at `path`; None where they show none."""
    parts = path.split("/")
    for lower in lowers:
        current = lower
        for index, part in enumerate(parts):
            current = f"{current}/{part}"
            try:
                status = os.lstat(current)
            except (FileNotFoundError, NotADirectoryError):
                break
            if is_whiteout(status):
                return None
            if index == len(parts) - 1:
                return current
            if not stat.S_ISDIR(status.st_mode):
                return None
        if any(is_opaque("/".join([lower, *parts[: i + 1]])) for i in range(len(parts) - 1)):
            return None
    return None
