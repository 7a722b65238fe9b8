"""An unpacked layer as entries again, and how it differs from what its tar says.

Times are left out of the comparing: no key counts them, and what a step wrote has finer ones than its tar. Hard links
have no order in a directory: of the names of a file the first by name stands for it on both sides.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from builder.digest import Digest
from builder.layers.changes import described
from builder.layers.contentid import content_id
from builder.layers.entry import Entry, Kind
from builder.layers.tarread import Data
from builder.layers.whiteout import OPAQUE_NAME, hidden_name, is_opaque_somehow
from builder.linux.owners import SPECIAL_ATTRIBUTE

# Entries by path; OPAQUE stands beside its directory.
Model = dict[tuple[str, bool], Entry]

_PIECE = 1 << 20
_IMPLIED_MODE = 0o755
# symlink(7): all links have it
_LINK_MODE = 0o777


def unpacked(directory: str) -> Iterator[tuple[Entry, str]]:
    """The entries of the unpacked layer in `directory` with where each lies, in the order in which layers are written.

    The root itself and sockets are left out; later names of a file are hard links. File entries have no digest yet.
    """
    links: dict[tuple[int, int], str] = {}
    todo = [("", iter(_sorted(directory)))]
    while todo:
        base, items = todo[-1]
        item = next(items, None)
        if item is None:
            todo.pop()
            continue
        path = f"{base}/{item.name}" if base else item.name
        status = item.stat(follow_symlinks=False)
        hidden = hidden_name(item.name, status)
        if hidden is not None:
            yield Entry(f"{base}/{hidden}" if base else hidden, Kind.WHITEOUT), item.path
            continue
        entry = described(path, item.path, status)
        if entry is None or item.name == OPAQUE_NAME:
            continue
        if entry.kind is not Kind.DIRECTORY and status.st_nlink > 1:
            first = links.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                entry = replace(entry, kind=Kind.HARDLINK, link=first, size=0)
        yield entry, item.path
        if entry.kind is Kind.DIRECTORY:
            if is_opaque_somehow(item.path):
                yield Entry(path, Kind.OPAQUE), item.path
            todo.append((path, iter(_sorted(item.path))))


def _sorted(directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return sorted(entries, key=lambda e: os.fsencode(e.name))


def on_disk(directory: str) -> Model:
    """What is unpacked in `directory`, its files hashed, the root among it."""
    top = described("", directory, os.lstat(directory))
    assert top is not None
    found = [top]
    for entry, path in unpacked(directory):
        found.append(replace(entry, digest=_digest(path)) if entry.kind is Kind.FILE else entry)
    return _settled({_key(entry): entry for entry in found})


def _digest(path: str) -> Digest:
    state = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while data := os.read(fd, _PIECE):
            state.update(data)
    finally:
        os.close(fd)
    return Digest(state.hexdigest())


def in_tar(entries: Iterable[tuple[Entry, Data]]) -> tuple[Model | None, Digest]:
    """What unpacking a layer's tar makes, and its content ID; None where only unpacking tells, as through links."""
    hashed = [_hashed(entry, data) for entry, data in entries]
    return _applied(hashed), content_id(hashed)


def _hashed(entry: Entry, data: Data) -> Entry:
    if entry.kind is not Kind.FILE:
        return entry
    state = hashlib.sha256()
    while piece := data.read(_PIECE):
        state.update(piece)
    return replace(entry, digest=Digest(state.hexdigest()))


def _applied(entries: Iterable[Entry]) -> Model | None:
    model: Model = {}
    try:
        for entry in entries:
            _apply(model, entry)
    except LookupError:
        return None
    return _settled(model)


def _apply(model: Model, entry: Entry) -> None:
    """Put one entry onto those before it, as extract.py does. Raises LookupError where that cannot be told."""
    _imply(model, f"{entry.path}/." if entry.path and entry.kind is Kind.OPAQUE else entry.path)
    before = model.get((entry.path, False))
    if before is not None and not {before.kind, entry.kind} <= {Kind.DIRECTORY, Kind.OPAQUE}:
        raise LookupError(entry.path)  # rare: something, perhaps with all that is in it, gives way to something else
    if entry.kind is Kind.HARDLINK:
        source = model[entry.link, False]
        entry = Entry(entry.path, Kind.HARDLINK, link=source.link if source.kind is Kind.HARDLINK else entry.link)
    model[_key(entry)] = _kept(entry)


def _imply(model: Model, path: str) -> None:
    """The directories above `path` that the tar does not name."""
    above = os.path.dirname(path)
    known = model.get((above, False))
    if not above or (known is not None and known.kind is Kind.DIRECTORY):
        return
    if known is not None:
        raise LookupError(path)
    _imply(model, above)
    model[above, False] = Entry(above, Kind.DIRECTORY, _IMPLIED_MODE)


def _kept(entry: Entry) -> Entry:
    """The entry as a file system has it."""
    plain = entry.kind in (Kind.FILE, Kind.DIRECTORY)
    left = tuple(x for x in entry.xattrs if x[0] != "security.selinux" and (plain or x[0] != SPECIAL_ATTRIBUTE))
    if entry.kind is Kind.SYMLINK:
        return replace(entry, xattrs=left, mode=_LINK_MODE)
    return entry if left == entry.xattrs else replace(entry, xattrs=left)


def _key(entry: Entry) -> tuple[str, bool]:
    return entry.path, entry.kind is Kind.OPAQUE


def _settled(model: Model) -> Model:
    """Without times, and with the first name of each file as the one that stands for it."""
    names: dict[str, list[str]] = {}
    for entry in model.values():
        if entry.kind is Kind.HARDLINK:
            names.setdefault(entry.link, [entry.link]).append(entry.path)
    settled = {key: replace(entry, mtime=0) for key, entry in model.items()}
    for first, group in names.items():
        own = settled[first, False]
        stands = min(group)
        for name in group:
            settled[name, False] = Entry(name, Kind.HARDLINK, link=stands)
        settled[stands, False] = replace(own, path=stands)
    return settled


def differences(wanted: Model, found: Model) -> list[str]:
    """What is wrong with `found`, a line for each path, in order."""
    lines = []
    for key in sorted(wanted.keys() | found.keys()):
        one, other = wanted.get(key), found.get(key)
        if key == ("", False) and one is None:
            continue  # a layer need not say what the root is like
        if one != other:
            lines.append(f"/{key[0]}: {_difference(one, other)}")
    return lines


def _difference(wanted: Entry | None, found: Entry | None) -> str:
    if found is None:
        return "it is missing" if wanted is None or wanted.kind is not Kind.OPAQUE else "it hides nothing below"
    if wanted is None:
        return "it is not in the layer" if found.kind is not Kind.OPAQUE else "it hides what lies below"
    if wanted.kind is not found.kind:
        return f"it is a {found.kind}, not a {wanted.kind}"
    if wanted.mode != found.mode:
        return f"its mode is {found.mode:04o}, not {wanted.mode:04o}"
    if (wanted.uid, wanted.gid) != (found.uid, found.gid):
        return f"its owner is {found.uid}:{found.gid}, not {wanted.uid}:{wanted.gid}"
    if wanted.xattrs != found.xattrs:
        return "its extended attributes are others"
    return "its content is another"
