"""What changed in a writable top → the ordered entries of its layer.

A copied-up entry that equals the one below is no change; an unchanged directory is only told of when
something in it is (as containerd's differ does, so that every parent is in the tar). A directory that took the
place of something is opaque. Which form the top has (overlayfs, fuse-overlayfs, a copy) makes no difference to the
entries.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Container, Iterator, MutableSequence, Sequence

from msgspec.structs import replace

from builder.errors import BadInputError
from builder.layers.compare import Pair, pairs
from builder.layers.entry import Entry, Kind
from builder.layers.leftovers import Leftover
from builder.layers.whiteout import PREFIX, Form, form_of, is_overlay_xattr, is_whiteout
from builder.linux.owners import Seen, is_record, seen

# An entry, where it is read from, its status there, and whether it differs from what lies below.
Change = tuple[Entry, str, os.stat_result, bool]

_CHUNK = 1 << 20
_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}


def changes(
    upper: str, lowers: Sequence[str], without: Container[str] = (), beside: list[Leftover] | None = None
) -> Iterator[tuple[Entry, str]]:
    """Entries of the upper dir with the path each is read from, parents first, siblings in byte order.

    `lowers` are the directories below, topmost first. Sockets are left out. File entries have no digest yet.
    `without` are paths that something is mounted on: an empty file or a directory there is no change by itself.
    `beside` is filled with what else lies in it, see leftovers.py.
    """
    form = form_of(upper)
    copied = form.copied
    rest: MutableSequence[Leftover] = deque(maxlen=0) if beside is None else beside
    found = _walk(upper, lowers, form, rest) if copied is None else _compared(pairs(upper, lowers, copied))
    return _settled(found, without, rest)


def _settled(
    found: Iterator[Change], without: Container[str], beside: MutableSequence[Leftover]
) -> Iterator[tuple[Entry, str]]:
    """What changed, with the directories above it, later names of a file as hard links."""
    links: dict[tuple[int, int], str] = {}
    pending: list[tuple[Entry, str]] = []
    for entry, path, status, changed in found:
        while pending and not _is_above(pending[-1][0].path, entry.path):
            beside.append(Leftover(pending.pop()[1]))
        stands_in = entry.path in without
        if entry.kind is Kind.DIRECTORY and (stands_in or not changed):
            pending.append((entry, path))
            continue
        if not changed or (stands_in and entry.kind is Kind.FILE and not entry.size):
            beside.append(Leftover(path))
            continue
        yield from pending
        pending.clear()
        if entry.kind not in (Kind.DIRECTORY, Kind.WHITEOUT, Kind.OPAQUE) and status.st_nlink > 1:
            first = links.setdefault((status.st_dev, status.st_ino), entry.path)
            if first != entry.path:
                entry = replace(entry, kind=Kind.HARDLINK, link=first, size=0)
        yield entry, path
    beside.extend(Leftover(path) for _, path in pending)


def single(path: str) -> tuple[Entry, str]:
    """The file at `path` as an entry, called by its name alone, with that path. Raises BadInputError for a socket."""
    status, name = os.lstat(path), os.path.basename(path)
    entry = described(name, path, status)
    if entry is None:
        raise BadInputError(f"{name} is a socket, which has no content")
    return entry, path


def _is_above(directory: str, path: str) -> bool:
    return path.startswith(directory + "/")


def _walk(upper: str, lowers: Sequence[str], form: Form, beside: MutableSequence[Leftover]) -> Iterator[Change]:
    todo = [("", lowers, iter(_sorted(upper)))]
    while todo:
        base, lowers, entries = todo[-1]
        item = next(entries, None)
        if item is None:
            todo.pop()
            continue
        path = f"{base}/{item.name}" if base else item.name
        try:
            status = item.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # a whiteout in what no other layer has: overlayfs lists it, and nothing is there
        hidden = form.hides(item.name, status)
        if hidden is not None:
            path = f"{base}/{hidden}" if base else hidden
            # One that hides nothing (made and deleted in the same step) deletes nothing either.
            yield Entry(path, Kind.WHITEOUT), item.path, status, _below(path, lowers, form) is not None
            continue
        entry = described(path, item.path, status)
        if entry is None or form.is_mark(item.name):
            beside.append(Leftover(item.path))
            continue
        below = _below(path, lowers, form) if form.has_origin(item.path, status) else None
        changed = below is None or differs(entry, item.path, status, below)
        yield entry, item.path, status, changed
        if entry.kind is Kind.DIRECTORY:
            if lowers and form.is_opaque(item.path):
                # Whatever it replaces, be that no directory: so overlayfs marks it, and so BuildKit writes it.
                if _below(path, lowers, form) is not None:
                    yield Entry(path, Kind.OPAQUE), item.path, status, True
                else:
                    beside.append(Leftover(item.path, mark=True))
                todo.append((path, (), iter(_sorted(item.path))))
            else:
                todo.append((path, lowers, iter(_sorted(item.path))))


def _compared(found: Iterator[Pair]) -> Iterator[Change]:
    for pair in found:
        below = pair.below
        if pair.status is None:
            assert below is not None
            yield Entry(pair.path, Kind.WHITEOUT), pair.source, below.status, True
            continue
        entry = described(pair.path, pair.source, pair.status)
        if entry is None:
            continue
        changed = (
            pair.new or below is None or differs(entry, pair.source, pair.status, below.path, content=pair.touched)
        )
        yield entry, pair.source, pair.status, changed
        if pair.new and entry.kind is Kind.DIRECTORY and below is not None:
            yield Entry(pair.path, Kind.OPAQUE), pair.source, pair.status, True


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


def differs(entry: Entry, path: str, status: os.stat_result, below: str, *, content: bool = True) -> bool:
    """Whether what lies at `path` is another thing than what lies at `below`.

    `content`: files that look the same are read too. A tool may set a file's time back after it changed it.
    """
    other = os.lstat(below)
    same = (
        seen(path, status) == seen(below, other)
        # the time of a directory tells only that something in it came or went
        and (entry.kind is Kind.DIRECTORY or (status.st_mtime_ns, status.st_size) == (other.st_mtime_ns, other.st_size))
        and entry.xattrs == xattrs(below)
        and (entry.kind is not Kind.SYMLINK or entry.link == os.readlink(below))
        and (entry.kind is not Kind.FILE or not content or _same_bytes(path, below))
    )
    return not same


def _same_bytes(one: str, other: str) -> bool:
    with open(one, "rb", buffering=0) as a, open(other, "rb", buffering=0) as b:
        while data := a.read(_CHUNK):
            if data != b.read(_CHUNK):
                return False
        return not b.read(1)


def _below(path: str, lowers: Sequence[str], form: Form) -> str | None:
    """The path of the entry that the lower dirs show at `path`; None where they show none."""
    parts = path.split("/")
    for lower in lowers:
        current = lower
        for index, part in enumerate(parts):
            current = f"{current}/{part}"
            try:
                status = os.lstat(current)
            except (FileNotFoundError, NotADirectoryError):
                if form.fuse and os.path.lexists(f"{os.path.dirname(current)}/{PREFIX}{part}"):
                    return None
                break
            if is_whiteout(status):
                return None
            if index == len(parts) - 1:
                return current
            if not stat.S_ISDIR(status.st_mode):
                return None
        if any(form.is_opaque("/".join([lower, *parts[: i + 1]])) for i in range(len(parts) - 1)):
            return None
    return None
