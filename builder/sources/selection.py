"""What a choice selects of a build context, and the digest that stands for it in a key."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence

from msgspec import Struct

from builder.digest import Digest
from builder.layers.copyjob import ContextEntry, ContextSource
from builder.layers.entry import Kind


class Selection(Struct, frozen=True):
    """Entries to copy from below `root`, each with what counts of it, and their digest. `listing` is what that is of.

    The copying makes what the entries say and checks the contents, so that the layer is what the key says, or fails.
    """

    root: str
    sources: tuple[ContextSource, ...]
    digest: Digest
    listing: bytes

    @classmethod
    def of(cls, root: str, sources: tuple[ContextSource, ...]) -> Selection:
        """The selection of these sources."""
        listing = b"\n".join(os.fsencode(line) for line in _lines(sources))
        return cls(root, sources, Digest.of(listing), listing)


def _lines(sources: Sequence[ContextSource]) -> Iterator[str]:
    """A line a source, with the name it is copied as, and a line an entry, without its time."""
    for source in sources:
        # What a directory has goes where the step says, whatever the directory is called.
        is_directory = source.entries[0].kind is Kind.DIRECTORY
        yield f"source {'' if is_directory else posixpath.basename(source.name)!r}"
        yield from map(_line, source.entries)


def _line(entry: ContextEntry) -> str:
    """`kind 'target' mode content 'attribute'=hex…`; mode and content are - where they do not count.

    The content is a file's digest, with `= 'target'` for a hard link of an earlier one, or where a symlink leads.
    """
    kind = f"{entry.kind}+" if entry.parent else str(entry.kind)
    fixed = entry.fixed
    if fixed is None:
        return f"{kind} {entry.target!r} - -"
    content = fixed.digest.hex if fixed.digest is not None else repr(fixed.link) if fixed.link else "-"
    if fixed.digest is not None and fixed.link:
        content = f"{content} = {fixed.link!r}"
    xattrs = "".join(f" {name!r}={value.hex()}" for name, value in fixed.xattrs)
    return f"{kind} {entry.target!r} {fixed.mode:o} {content}{xattrs}"
