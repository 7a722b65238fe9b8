"""What counts of each entry that was found in a context: fixed when its key is made, and copied as that."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from builder.layers.copyjob import ContextEntry, Fixed
from builder.layers.entry import Kind
from builder.sources.attributes import attributes
from builder.sources.statindex import Hashed


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


class Found(Struct, frozen=True, gc=False):
    """An entry as the walk found it: where it lies, and its status then."""

    entry: ContextEntry
    path: str
    status: os.stat_result


def fixed(found: Sequence[Found], held: Mapping[str, Hashed], reading: Reading, *, top: bool) -> Iterator[ContextEntry]:
    """The entries of one source with all that counts of them; `held` is what the files of these paths hold.

    A directory that is the source itself counts only with `top`. Raises OSError for what is no longer there.
    """
    first: dict[tuple[int, int], str] = {}
    for item in found:
        entry = item.entry
        if entry.kind is Kind.DIRECTORY and not entry.target and not top:
            yield entry
            continue
        fix = _file(entry, held[item.path], reading, first) if entry.kind is Kind.FILE else _other(item, reading)
        yield ContextEntry(entry.path, entry.target, entry.kind, entry.parent, fix)


def _file(entry: ContextEntry, held: Hashed, reading: Reading, first: dict[tuple[int, int], str]) -> Fixed:
    status, link = held.status, ""
    if status.st_nlink > 1 and not reading.git:
        link = first.setdefault((status.st_dev, status.st_ino), entry.target)
    return Fixed(
        reading.mode(entry.kind, status.st_mode),
        status.st_mtime_ns,
        link if link != entry.target else "",
        () if reading.git else held.xattrs,
        held.digest,
        held.state,
    )


def _other(item: Found, reading: Reading) -> Fixed:
    kind, status = item.entry.kind, item.status
    return Fixed(
        reading.mode(kind, status.st_mode),
        status.st_mtime_ns,
        os.readlink(item.path) if kind is Kind.SYMLINK else "",
        attributes(item.path) if kind is Kind.DIRECTORY and not reading.git else (),
    )
