"""`CopyJob`: a COPY or ADD as plain data: what to copy, where to, with which owner and mode."""

from __future__ import annotations

from msgspec import Struct

from builder.layers.entry import Kind


class ContextEntry(Struct, frozen=True):
    """One path the build context contributes.

    `path` is relative to the context's root (symlinks on the way resolved); `target` is relative to where
    its source argument goes: empty for a source that is itself copied, `sub/name` for what lies in a copied
    directory. `kind` is FILE, DIRECTORY, SYMLINK or FIFO. `parent`: a directory that is only there for what lies in it.
    """

    path: str
    target: str
    kind: Kind
    parent: bool = False


class ContextSource(Struct, frozen=True):
    """One source argument, or one match of its pattern: `name` as it is called, and its entries.

    The first entry is the source itself.
    """

    name: str
    entries: tuple[ContextEntry, ...]


class Choice(Struct, frozen=True):
    """Which files of a root are copied: `patterns`, less what `exclude` names in each of them.

    With `parents`, a pattern's path is kept below its `/./`, or whole.
    """

    patterns: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    parents: bool = False


class Inline(Struct, frozen=True):
    """A file whose content is given: a heredoc."""

    name: str
    content: bytes


class CopyJob(Struct, frozen=True):
    """What to copy.

    Either `sources` (chosen from the build context below `context`, a host directory) or `choice` (made in the
    root of another stack when the job runs). `destination` is absolute in the target's root; a trailing slash says
    directory. `chown` is `user[:group]`, empty for 0:0 (context) or as it is (stack); `chmod` as in lang.chmod, or
    empty. `unpack`: local archives are unpacked (ADD). `mtime`, in seconds, is the time of all that is copied.
    """

    destination: str
    context: str = ""
    sources: tuple[ContextSource, ...] = ()
    choice: Choice = Choice(())
    inline: tuple[Inline, ...] = ()
    chown: str = ""
    chmod: str = ""
    unpack: bool = False
    mtime: int | None = None
