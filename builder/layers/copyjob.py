"""`CopyJob`: a COPY or ADD as plain data: what to copy, where to, with which owner and mode."""

from __future__ import annotations

from msgspec import Struct

from builder.layers.entry import Kind


class ContextEntry(Struct, frozen=True):
    """One path the build context contributes.

    `path` is relative to the context's root (symlinks on the way resolved); `target` is relative to where
    its source argument goes: empty for a source that is itself copied, `sub/name` for what lies in a copied
    directory. `kind` is FILE, DIRECTORY, SYMLINK or FIFO.
    """

    path: str
    target: str
    kind: Kind


class ContextSource(Struct, frozen=True):
    """One source argument, or one match of its pattern: `name` as it is called, and its entries.

    The first entry is the source itself.
    """

    name: str
    entries: tuple[ContextEntry, ...]


class Inline(Struct, frozen=True):
    """A file whose content is given: a heredoc."""

    name: str
    content: bytes


class CopyJob(Struct, frozen=True):
    """What to copy.

    Either `sources` (chosen from the build context below `context`, a host directory) or `patterns` (matched
    in the root of another stack when the job runs). `destination` is absolute in the target's root; a
    trailing slash says directory. `chown` is `user[:group]`, empty for 0:0 (context) or as it is (stack);
    `chmod` octal digits or empty. `unpack`: local archives are unpacked (ADD).
    """

    destination: str
    context: str = ""
    sources: tuple[ContextSource, ...] = ()
    patterns: tuple[str, ...] = ()
    inline: tuple[Inline, ...] = ()
    chown: str = ""
    chmod: str = ""
    unpack: bool = False
