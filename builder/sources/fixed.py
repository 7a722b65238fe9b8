"""What counts of each entry that was found in a context: fixed when its key is made, and copied as that."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterator, Mapping

from msgspec import Struct

from builder.layers.copyjob import ContextEntry, Fixed
from builder.layers.entry import Kind
from builder.sources.hashing import Held
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
# As STATE unpacks it.
State = tuple[int, int, int, int, int, int, int]
_BITS = 0o7777


def found(source: Source) -> Iterator[tuple[ContextEntry, int]]:
    """The entries of one source, of which no file was read, and the bytes that files have."""
    if source.own is not None:
        yield ContextEntry(source.tree.path, "", Kind.DIRECTORY), 0
    for listed, index in source.tree.below():
        name, (_, _, size, _, _, mode, _) = listed.names[index], STATE.unpack(listed.state(index))
        kind, (above, before) = _KINDS[stat.S_IFMT(mode)], _prefixes(listed)
        entry = ContextEntry(above + name, "" if listed.single else before + name, kind, index in listed.parents)
        yield entry, size if kind is Kind.FILE else 0


def fixed(source: Source, held: Mapping[Listed, Held], reading: Reading, *, top: bool) -> Iterator[ContextEntry]:
    """The entries of one source with all that counts of them; `held` is what the files of each directory hold.

    A directory that is the source itself counts only with `top`.
    """
    first: dict[tuple[int, int], str] = {}
    if source.own is not None:
        own = _other(Kind.DIRECTORY, STATE.unpack(source.own), "", source.tree.xattrs, reading) if top else None
        yield ContextEntry(source.tree.path, "", Kind.DIRECTORY, fixed=own)
    levels = [_entries(source.tree, held, reading, first)]
    while levels:
        entry, inner = next(levels[-1], (None, None))
        if entry is None:
            levels.pop()
            continue
        yield entry
        if inner is not None:
            levels.append(_entries(inner, held, reading, first))


def _entries(
    listed: Listed, held: Mapping[Listed, Held], reading: Reading, first: dict[tuple[int, int], str]
) -> Iterator[tuple[ContextEntry, Listed | None]]:
    """Those of one directory, each with what lies in it; `first` are the files with more links met so far."""
    above, before = _prefixes(listed)
    others, content = set(listed.others), held.get(listed)
    states = listed.states if content is None else content.states
    for index, (name, state) in enumerate(zip(listed.names, STATE.iter_unpack(states), strict=True)):
        target, inner = "" if listed.single else before + name, None
        if content is None or index in others:
            kind, inner = _KINDS[stat.S_IFMT(state[5])], listed.inner.get(index)
            fix = _other(kind, state, listed.links.get(index, ""), () if inner is None else inner.xattrs, reading)
        else:
            kind = Kind.FILE
            earlier = target if state[6] < 2 or reading.git else first.setdefault(state[:2], target)
            fix = _file(content, index, state, earlier if earlier != target else "", reading)
        yield ContextEntry(above + name, target, kind, index in listed.parents, fix), inner


def _file(held: Held, index: int, state: State, link: str, reading: Reading) -> Fixed:
    device, inode, size, mtime, ctime, mode, _ = state
    settled = not reading.paranoid and index not in held.unsettled
    return Fixed(
        reading.mode(Kind.FILE, mode),
        mtime,
        link,
        () if reading.git else held.xattrs.get(index, ()),
        held.digest(index),
        (device, inode, size, mtime, ctime, mode & _BITS) if settled else None,
        size,
    )


def _other(kind: Kind, state: State, link: str, xattrs: Attributes, reading: Reading) -> Fixed:
    return Fixed(reading.mode(kind, state[5]), state[3], link, xattrs)


def _prefixes(listed: Listed) -> tuple[str, str]:
    """What stands before names in paths and targets."""
    return posixpath.join(listed.path, ""), posixpath.join(listed.target, "")
