"""The build context: what a COPY names there, found and fixed for its key. Reads only what is named.

Paths are resolved by hand inside the context's root: `..` stops at the root, and a symlink that leads
out is read as if the root were `/` (as BuildKit does), so no Buildfile reads another part of this machine.
"""

from __future__ import annotations

import errno
import os
import posixpath
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder import forked
from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, PybuildError
from builder.lang.ignore import Ignore
from builder.lang.patterns import compile_match, has_magic, literal
from builder.layers.choice import parts
from builder.layers.copyjob import Choice, ContextEntry, ContextSource
from builder.sources.fixed import AS_IT_IS, Reading, fixed, found
from builder.sources.hashing import changed
from builder.sources.selection import Found, Proof, Selection, listed
from builder.sources.statindex import contents, own_clock, read_last
from builder.sources.walk import Walk
from builder.store.stats import Known, StatTable

if TYPE_CHECKING:
    from builder.events import Emit, Meter

_MOST_LINKS = 255
# What the kernel says of a path that was something else a moment ago.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO)


class Context:
    """A directory as build context, seen through its ignore file."""

    def __init__(
        self, root: str, ignore: Ignore, table: StatTable, reading: Reading = AS_IT_IS, emit: Emit | None = None
    ) -> None:
        """`emit` is told how far the reading of its files is."""
        self._emit = emit
        self.root = os.path.realpath(root)
        self.ignore = ignore
        self._table, self._reading = table, reading
        self._walks: dict[tuple[Choice, bool], Walk] = {}

    def select(self, choice: Choice, *, top: bool = False) -> Selection:
        """What `choice` (patterns cleaned, relative to the root) names. With `top`, a directory that is named counts
        itself, not only what is in it.

        Where the stat index knows what a walk finds, nothing else is made of it.
        Raises NotFoundError for a missing name, BadInputError for what changes meanwhile or cannot be read.
        """
        with self._told():
            walk = self._walks.pop((choice, top), None) or self._walk(choice, top)
            known = self._known(walk)
            if known is not None:
                return self._selection(walk, choice, top, known.digest, known.read)
            sources, read = self._sources(walk, top)
            for source in sources:
                forked.offer(source)  # to the process that will copy them
            found = Found(sources, listed(sources))
            digest = Digest.of(found.listing)
            if read is not None:
                self._table.remember_selection(walk.fingerprint, Known(digest, read))
            return self._selection(walk, choice, top, digest, read, found)

    def still(self, proof: Proof) -> bool:
        """Whether a selection, of any earlier build, would be the same now: by its `proof`, and no file is read.

        True means that `select` with the same arguments would give the same digest. Root, ignore rules and `reading`
        need not be compared: what they change is seen in what the walk finds. False means that nobody knows; then the
        walk is kept for the `select` that follows, which needs no other.
        """
        try:
            with self._told():
                walk = self._walks[proof.choice, proof.top] = self._walk(proof.choice, proof.top)
        except PybuildError:
            return False  # `select` tells of it
        return walk.fingerprint == proof.fingerprint and self._trusted(walk, proof.read)

    def take(self, earlier: Context) -> None:
        """Have the walks of `earlier` that it has kept, if it is the same context, seen a moment ago."""
        rules = (earlier.ignore.name, earlier.ignore.text)
        if (self.root, self._reading, (self.ignore.name, self.ignore.text)) == (earlier.root, earlier._reading, rules):
            self._walks.update(earlier._walks)

    def listed(self, choice: Choice) -> list[tuple[ContextEntry, int]]:
        """What `choice` names, as `select` does, but no file is read; each entry with the bytes in it."""
        return [item for source in self._walk(choice, False).sources for item in found(source)]

    def inside(self, path: str) -> str:
        """`path`, absolute on this machine or relative to the root, as it is called here."""
        if os.path.isabs(path):
            path = os.path.relpath(os.path.realpath(path), self.root)
        return posixpath.normpath("/" + path).lstrip("/")

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`, hidden or not."""
        return os.path.lexists(os.path.join(self.root, self._resolve(path, last=False)))

    # --- finding -------------------------------------------------------------------------------

    def _walk(self, choice: Choice, top: bool) -> Walk:
        walk = Walk(self.root, self.ignore, top=top, git=self._reading.git)
        for part in parts(choice):
            named = 0
            for name in self._matches(part.base):
                source = walk.add(name, self._resolve(name), part)
                named += source is not None and (not part.include or source.holds)
            if part.required and not named:
                raise self._missing(posixpath.join(part.base, part.include).rstrip("/"))
        return walk

    def _matches(self, pattern: str) -> list[str]:
        if has_magic(pattern):
            return sorted(self._glob("", pattern.split("/")), key=lambda path: path.split("/"))
        return [pattern] if self._lookup(pattern) is not None else []

    def _glob(self, base: str, parts: list[str]) -> Iterator[str]:
        head, *rest = parts
        if not has_magic(head):
            names = [literal(head)]
        else:
            matcher = compile_match(head)
            directory = self._lookup(base)
            if directory is None or not os.path.isdir(directory):
                return
            names = [name for name in os.listdir(directory) if matcher.match(name)]
        for name in names:
            path = posixpath.join(base, name)
            if rest:
                yield from self._glob(path, rest)
            elif self._lookup(path) is not None:
                yield path

    def _lookup(self, name: str) -> str | None:
        """The host path of context path `name`, parents resolved inside the root; None when not there or ignored."""
        try:
            resolved = self._resolve(name)
        except BadInputError:
            return None  # a link to itself is as good as not there, unless it is named
        path = os.path.join(self.root, resolved)
        if not os.path.lexists(path):
            return None
        if resolved and self.ignore.excluded(resolved):
            below = os.path.isdir(path) and not os.path.islink(path) and self.ignore.may_reinclude_below(resolved)
            return path if below else None
        return path

    def _resolve(self, name: str, *, last: bool = True) -> str:
        """`name` with symlinks followed as if the context's root were `/`; its last part too when `last`."""
        todo, links = [p for p in name.split("/") if p and p != "."], 0
        done: list[str] = []
        while todo:
            part = todo.pop(0)
            if part == "..":
                done = done[:-1]
                continue
            path = os.path.join(self.root, *done, part)
            if os.path.islink(path) and (todo or last):
                links += 1
                if links > _MOST_LINKS:
                    raise BadInputError(f"{name}: too many symbolic links")
                target = os.readlink(path)
                if target.startswith("/"):
                    done = []
                todo = [p for p in target.split("/") if p and p != "."] + todo
            else:
                done = [*done, part]
        return "/".join(done)

    # --- what counts ---------------------------------------------------------------------------

    def _begin(self, total: int) -> Meter:
        # lazy: a build that is known reads no files
        from builder.events import Meter, Work, ignore

        return Meter(self._emit or ignore, Work.CONTEXT, os.path.basename(self.root) or "/", total)

    def _known(self, walk: Walk) -> Known | None:
        known = None if self._reading.paranoid else self._table.selection(walk.fingerprint)
        return known if known is not None and self._trusted(walk, known.read) else None

    def _trusted(self, walk: Walk, read: int) -> bool:
        return not self._reading.paranoid and read <= time.time_ns() and all(own_clock(walk).values())

    def _sources(self, walk: Walk, top: bool) -> tuple[tuple[ContextSource, ...], int | None]:
        """The sources a walk has found, with what is in their files; and when the youngest was read (read_last)."""
        held = contents(self._table, walk, self._begin, paranoid=self._reading.paranoid)
        sources = (ContextSource(s.name, tuple(fixed(s, held, self._reading, top=top))) for s in walk.sources)
        return tuple(sources), read_last(walk, held)

    def _selection(
        self,
        walk: Walk,
        choice: Choice,
        top: bool,
        digest: Digest,
        read: int | None,
        found: Found | None = None,
    ) -> Selection:
        def find() -> Found:
            if found is not None:
                return found
            with self._told():
                sources, _ = self._sources(walk, top)
            late = Found(sources, listed(sources))
            if Digest.of(late.listing) != digest:
                raise changed("what is copied of the build context")
            return late

        proof = None if read is None or self._reading.paranoid else Proof(choice, top, walk.fingerprint, read)
        return Selection(self.root, digest, find, empty=not walk.sources, proof=proof)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the kernel says of a file, as an error for people."""
        try:
            yield
        except PermissionError as error:
            raise BadInputError(f"{self._shown(error)} cannot be read: permission denied") from error
        except OSError as error:
            if error.errno in _GONE:
                raise changed(self._shown(error)) from error
            raise

    def _shown(self, error: OSError) -> str:
        return os.path.relpath(os.fsdecode(error.filename), self.root) if error.filename else "."

    def _missing(self, pattern: str) -> NotFoundError:
        resolved = self._resolve(pattern)
        rule = self.ignore.hiding(resolved)
        if rule is not None and os.path.lexists(os.path.join(self.root, resolved)):
            return NotFoundError(
                f"{pattern} is hidden from the build by {self.ignore.place(rule)}",
                hint=f"a line !{resolved} after it shows it again",
            )
        return NotFoundError(f"{pattern} is not in the build context", hint=self._near(pattern))

    def _near(self, pattern: str) -> str | None:
        # lazy: only an error needs it
        import difflib

        directory, base = posixpath.split(pattern)
        try:
            names = os.listdir(os.path.join(self.root, self._resolve(directory)))
        except OSError:
            return None
        close = difflib.get_close_matches(base, names, 3)
        return f"did you mean {', '.join(posixpath.join(directory, c) for c in close)}?" if close else None
