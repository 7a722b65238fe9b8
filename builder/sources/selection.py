"""What a choice selects of a build context, and the digest that stands for it in a key."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from msgspec import Struct

from builder.digest import Digest
from builder.layers.copyjob import Choice, ContextEntry, ContextSource
from builder.layers.entry import Kind


class Proof(Struct, frozen=True):
    """What shows later that a context has not changed: `Context.still` makes the same walk and compares.

    The walk is that of `choice` and `top` (as of `Context.select`), `fingerprint` what it gave (sources/walk), and
    `read` the time, in nanoseconds, when the youngest of the digests was computed. Patterns may have surrogates in them
    (names need not be UTF-8), which no JSON can hold.
    """

    choice: Choice
    top: bool
    fingerprint: bytes
    read: int


class Found(Struct, frozen=True):
    """The entries of a selection, by source, and their list, which its digest is of."""

    sources: tuple[ContextSource, ...]
    listing: bytes


class Selection:
    """Entries to copy from below `root`, each with what counts of it, and their digest.

    The copying makes what the entries say and checks the contents, so that the layer is what the key says, or fails.
    `proof` is None where a file could change and nobody would see it: it is too young, or its file system says too
    little. `sources` and `listing`, which is what the digest is of, are made by `find` when something asks for them,
    which on a cached build nothing does.
    """

    def __init__(
        self,
        root: str,
        digest: Digest,
        find: Callable[[], Found],
        *,
        empty: bool = False,
        proof: Proof | None = None,
    ) -> None:
        """`empty`: there are no sources."""
        self.root, self.digest, self.empty, self.proof = root, digest, empty, proof
        self._find = find

    @cached_property
    def _found(self) -> Found:
        return self._find()

    @property
    def sources(self) -> tuple[ContextSource, ...]:
        """The entries, by source. Raises BadInputError when they are no longer what the digest says."""
        return self._found.sources

    @property
    def listing(self) -> bytes:
        """What the digest is of. Raises as `sources`."""
        return self._found.listing


def listed(sources: Iterable[ContextSource]) -> bytes:
    """A line a source, with the name it is copied as, and a line an entry, without its time."""
    return os.fsencode("\n".join(line for source in sources for line in _lines(source)))


def _lines(source: ContextSource) -> Iterator[str]:
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
