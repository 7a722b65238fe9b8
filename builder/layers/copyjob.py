"""`CopyJob`: a COPY or ADD as plain data: what to copy, where to, with which owner and mode."""

from __future__ import annotations

import os

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.layers.entry import Kind
from builder.linux.files import StatKey
from builder.readied import readied


class Fixed(Struct, frozen=True, gc=False, array_like=True):
    """What an entry of a build context is copied as: what its key says, whatever becomes of it meanwhile.

    `mode` holds permission bits; `mtime` is in nanoseconds. `link`: where a symlink leads, or the earlier target in
    the same source that a file is a hard link of. `digest` is of a file's content, `size` its bytes, `state` the state
    in which it surely has that content: without one, the copy must be hashed to know.
    """

    mode: int
    mtime: int
    link: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    digest: Digest | None = None
    state: StatKey | None = None
    size: int = 0


# The form of lists of what is chosen (layers/chosen): another form needs another name.
CHOSEN = "pybuild chosen 1"


class ContextEntry(Struct, frozen=True, gc=False, array_like=True):
    """One path the build context contributes.

    `path` is relative to the context's root (symlinks on the way resolved); `target` is relative to where
    its source argument goes: empty for a source that is itself copied, `sub/name` for what lies in a copied
    directory. `kind` is FILE, DIRECTORY, SYMLINK or FIFO. `parent`: a directory that is only there for what lies in it.
    Without `fixed` it is copied as it lies there; so is what is in the store, and does not change.
    """

    path: str
    target: str
    kind: Kind
    parent: bool = False
    fixed: Fixed | None = None


class ContextSource(Struct, frozen=True, weakref=True):
    """One source argument, or one match of its pattern: `name` as it is called, and its entries.

    The first entry is the source itself.
    """

    name: str
    entries: tuple[ContextEntry, ...]

    def __reduce__(self) -> tuple[object, ...]:
        """As bytes of msgpack: 20,000 entries took 110 ms on their way to the child that copies, and now 20."""
        try:
            return _unpacked, (self.name, _PACKER.encode(self.entries))
        except UnicodeEncodeError:  # names need not be UTF-8
            return ContextSource, (self.name, self.entries)


_PACKER, _UNPACKER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(readied(tuple[ContextEntry, ...]))


def _unpacked(name: str, entries: bytes) -> ContextSource:
    return ContextSource(name, _UNPACKER.decode(entries))


class Choice(Struct, frozen=True):
    """Which files of a root are copied: `patterns`, less what `exclude` names in each of them.

    With `parents`, a pattern's path is kept below its `/./`, or whole.
    """

    patterns: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    parents: bool = False


class Chosen(Struct, frozen=True):
    """A choice of what a root has. With `top` a directory that is chosen counts itself, not only what lies in it."""

    choice: Choice
    top: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is all of the root."""
        return self.choice == Choice(("",))

    def name(self, chain: Digest) -> str:
        """What the digest of this choice is remembered by, for a root of the content chain `chain`."""
        # Names in a file system need not be UTF-8; JSON must be.
        choice = self.choice
        patterns, exclude = ([os.fsencode(text).hex() for text in texts] for texts in (choice.patterns, choice.exclude))
        return Digest.of(msgspec.json.encode([CHOSEN, str(chain), patterns, exclude, choice.parents, self.top])).hex


class Inline(Struct, frozen=True):
    """A file whose content is given: a heredoc."""

    name: str
    content: bytes


class CopyJob(Struct, frozen=True):
    """What to copy.

    Either `sources` (chosen from the build context below `context`, a host directory) or `choice` (made in the
    root of another stack when the job runs). `destination` is absolute in the target's root; a trailing slash says
    directory. `chown` is `user[:group]`, empty for 0:0 (context) or as it is (stack); `chmod` as in lang.chmod, or
    empty. `unpack`: local archives are unpacked (ADD).
    """

    destination: str
    context: str = ""
    sources: tuple[ContextSource, ...] = ()
    choice: Choice = Choice(())
    inline: tuple[Inline, ...] = ()
    chown: str = ""
    chmod: str = ""
    unpack: bool = False
