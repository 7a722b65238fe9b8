"""What counts of each entry that was found in a context: fixed when its key is made, and copied as that."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterator, Mapping

from msgspec import Struct

from builder.layers.copyjob import ContextEntry, Fixed
from builder.layers.entry import Kind
from builder.sources.statindex import Held
from builder.sources.walk import STATE, Listed, Source
from builder.store.stats import Attributes

_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.SYMLINK, stat.S_IFIFO: Kind.FIFO}


class Reading(Struct, frozen=True):
    """How contexts are read.

    `git`: as git would record them (git-fast-import(1), "filemodify"): files 0644 or 0755, directories 0755, without
    attributes and hard links, so that neither umask nor way of a checkout matters. `paranoid`: no remembered digest
    is trusted, and what was copied is hashed again.
    """

    git: bool = False
    paranoid: bool = False

    def mode(self, kind: Kind, mode: int) -> int:
        """The permission bits an entry counts with."""
        if not self.git or kind is Kind.SYMLINK:
            return stat.S_IMODE(mode)
        return 0o755 if kind is Kind.DIRECTORY or (kind is Kind.FILE and mode & stat.S_IXUSR) else 0o644


AS_IT_IS = Reading()


def found(source: Source) -> Iterator[tuple[ContextEntry, int]]:
    """The entries of one source, of which no file was read, and the bytes that files have."""
    if source.own is not None:
        yield ContextEntry(source.tree.path, "", Kind.DIRECTORY), 0
    for listed, index in source.tree.below():
        entry = _entry(listed, index)
        yield entry, STATE.unpack(listed.state(index))[2] if entry.kind is Kind.FILE else 0


def fixed(source: Source, held: Mapping[Listed, Held], reading: Reading, *, top: bool) -> Iterator[ContextEntry]:
    """The entries of one source with all that counts of them; `held` is what the files of each directory hold.

    A directory that is the source itself counts only with `top`.
    """
    first: dict[tuple[int, int], str] = {}
    if source.own is not None:
        own = _other(source.own, "", source.tree.xattrs, reading) if top else None
        yield ContextEntry(source.tree.path, "", Kind.DIRECTORY, fixed=own)
    for listed, index in source.tree.below():
        if index in listed.others:
            inner, link = listed.inner.get(index), listed.links.get(index, "")
            fix = _other(listed.state(index), link, () if inner is None else inner.xattrs, reading)
        else:
            fix = _file(listed, index, held[listed], reading, first)
        yield _entry(listed, index, fix)


def _entry(listed: Listed, index: int, fix: Fixed | None = None) -> ContextEntry:
    name, kind = listed.names[index], _KINDS[stat.S_IFMT(STATE.unpack(listed.state(index))[5])]
    target = "" if listed.single else posixpath.join(listed.target, name)
    return ContextEntry(posixpath.join(listed.path, name), target, kind, index in listed.parents, fix)


def _file(listed: Listed, index: int, held: Held, reading: Reading, first: dict[tuple[int, int], str]) -> Fixed:
    device, inode, size, mtime, ctime, mode, links = STATE.unpack(held.state(index))
    settled = not reading.paranoid and index not in held.unsettled
    link = ""
    if links > 1 and not reading.git:
        target = "" if listed.single else posixpath.join(listed.target, listed.names[index])
        earlier = first.setdefault((device, inode), target)
        link = earlier if earlier != target else ""
    return Fixed(
        reading.mode(Kind.FILE, mode),
        mtime,
        link,
        () if reading.git else held.xattrs.get(index, ()),
        held.digest(index),
        (device, inode, size, mtime, ctime, stat.S_IMODE(mode)) if settled else None,
    )


def _other(state: bytes, link: str, xattrs: Attributes, reading: Reading) -> Fixed:
    _, _, _, mtime, _, mode, _ = STATE.unpack(state)
    return Fixed(reading.mode(_KINDS[stat.S_IFMT(mode)], mode), mtime, link, xattrs)
