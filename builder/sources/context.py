"""The build context: what a COPY names there, found and fixed for its key. Reads only what is named.

Paths are resolved by hand inside the context's root: `..` stops at the root, and a symlink that leads
out is read as if the root were `/` (as BuildKit does), so no Buildfile reads another part of this machine.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator

from builder.errors import BadInputError, NotFoundError
from builder.lang.ignore import Ignore
from builder.lang.patterns import compile_match, has_magic, literal
from builder.layers.choice import Part, parts
from builder.layers.copyjob import Choice, ContextEntry, ContextSource
from builder.layers.entry import Kind
from builder.sources.fixed import AS_IT_IS, Found, Reading, fixed
from builder.sources.selection import Selection
from builder.sources.statindex import changed, digests
from builder.store.stats import StatTable

_MOST_LINKS = 255
# What the kernel says of a path that was something else a moment ago.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO)


class _Level:
    """A directory on the way down; `held` is what was found of itself when that counts only if something in it does."""

    def __init__(self, path: str, target: str, entries: list[os.DirEntry[str]], held: Found | None = None) -> None:
        self.path, self.target, self.entries, self.held = path, target, iter(entries), held


class Context:
    """A directory as build context, seen through its ignore file."""

    def __init__(self, root: str, ignore: Ignore, table: StatTable, reading: Reading = AS_IT_IS) -> None:
        self.root = os.path.realpath(root)
        self.ignore = ignore
        self._table, self._reading = table, reading

    def select(self, choice: Choice, *, top: bool = False) -> Selection:
        """What `choice` (patterns cleaned, relative to the root) names. With `top`, a directory that is named counts
        itself, not only what is in it.

        Raises NotFoundError for a missing name, BadInputError for what changes meanwhile or cannot be read.
        """
        try:
            return self._selection([source for part in parts(choice) for source in self._sources(part)], top)
        except PermissionError as error:
            raise BadInputError(f"{self._shown(error)} cannot be read: permission denied") from error
        except OSError as error:
            if error.errno in _GONE:
                raise changed(self._shown(error)) from error
            raise

    def listed(self, choice: Choice) -> list[tuple[ContextEntry, int]]:
        """What `choice` names, as `select` does, but no file is read; each entry with the bytes in it."""
        found = [item for part in parts(choice) for _, items in self._sources(part) for item in items]
        return [(f.entry, f.status.st_size if f.entry.kind is Kind.FILE else 0) for f in found]

    def inside(self, path: str) -> str:
        """`path`, absolute on this machine or relative to the root, as it is called here."""
        if os.path.isabs(path):
            path = os.path.relpath(os.path.realpath(path), self.root)
        return posixpath.normpath("/" + path).lstrip("/")

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`, hidden or not."""
        return os.path.lexists(os.path.join(self.root, self._resolve(path, last=False)))

    # --- finding -------------------------------------------------------------------------------

    def _sources(self, part: Part) -> Iterator[tuple[str, list[Found]]]:
        found = 0
        for name in self._matches(part.base):
            entries = list(self._source(name, part))
            found += len(entries) > bool(part.include)
            if entries:
                yield "" if part.include else name, entries
        if part.required and not found:
            raise self._missing(posixpath.join(part.base, part.include).rstrip("/"))

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

    def _source(self, name: str, part: Part) -> Iterator[Found]:
        resolved = self._resolve(name)
        path = os.path.join(self.root, resolved)
        status = os.lstat(path)
        kind = _kind(status.st_mode)
        if kind is None:
            raise BadInputError(f"{name} is a socket or a device and cannot be copied")
        if kind is not Kind.DIRECTORY:
            if not part.excluded(posixpath.basename(name)):
                yield Found(ContextEntry(resolved, "", kind), path, status)
            return
        yield Found(ContextEntry(resolved, "", kind), path, status)
        yield from self._below(_Level(resolved, "", self._entries(resolved)), part)

    def _entries(self, directory: str) -> list[os.DirEntry[str]]:
        with os.scandir(os.path.join(self.root, directory)) as entries:
            return sorted(entries, key=lambda e: e.name)

    def _below(self, top: _Level, part: Part) -> Iterator[Found]:
        levels = [top]  # and no recursion: trees may be deeper than Python's stack
        while levels:
            level = levels[-1]
            entry = next(level.entries, None)
            if entry is None:
                levels.pop()
                continue
            path = f"{level.path}/{entry.name}" if level.path else entry.name
            inside = f"{level.target}/{entry.name}" if level.target else entry.name
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone since the directory was read: as if it had never been there
            kind = _kind(status.st_mode)
            if kind is None or (part.exclude and part.excluded(inside)):
                continue
            included = part.included(inside)
            shown = (included or kind is Kind.DIRECTORY) and not self.ignore.excluded(path)
            if shown and included:
                yield from _held(levels)
                yield Found(ContextEntry(path, inside, kind), entry.path, status)
            if kind is Kind.DIRECTORY and self._may_hold(path, inside, shown, included, part):
                own = ContextEntry(path, inside, kind, parent=not included)
                held = None if shown and included else Found(own, entry.path, status)
                levels.append(_Level(path, inside, self._entries(path), held))

    def _may_hold(self, path: str, inside: str, shown: bool, included: bool, part: Part) -> bool:
        return (shown or self.ignore.may_reinclude_below(path)) and (included or part.may_hold(inside))

    # --- hashing -------------------------------------------------------------------------------

    def _selection(self, sources: list[tuple[str, list[Found]]], top: bool) -> Selection:
        files = [f for _, found in sources for f in found if f.entry.kind is Kind.FILE]
        pairs = [(f.path, f.status) for f in files]
        read = digests(self._table, pairs, paranoid=self._reading.paranoid)
        held = dict(zip((f.path for f in files), read, strict=True))
        return Selection.of(
            self.root,
            tuple(ContextSource(name, tuple(fixed(found, held, self._reading, top=top))) for name, found in sources),
        )

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


def _held(levels: list[_Level]) -> Iterator[Found]:
    """What the directories on the way down have held back, once."""
    for level in levels:
        if level.held is not None:
            yield level.held
            level.held = None


def _kind(mode: int) -> Kind | None:
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    if stat.S_ISLNK(mode):
        return Kind.SYMLINK
    return Kind.FIFO if stat.S_ISFIFO(mode) else None
