"""What a choice takes of another stage's root; every link is followed inside it."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator

from builder.errors import NotFoundError
from builder.lang.patterns import compile_match, has_magic, literal
from builder.layers.choice import Part, parts
from builder.layers.copyjob import Choice, ContextEntry, ContextSource
from builder.layers.entry import Kind
from builder.linux.owners import seen
from builder.linux.paths import open_in_root, resolve_in_root

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
}


def select_in_root(root: str, choice: Choice) -> tuple[ContextSource, ...]:
    """The sources `choice` names below the directory `root`. Raises NotFoundError for a missing one."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return tuple(source for part in parts(choice) for source in _sources(root, fd, part))
    finally:
        os.close(fd)


def _sources(host: str, root: int, part: Part) -> Iterator[ContextSource]:
    found = 0
    for name in _matches(root, part):
        entries = tuple(_entries(host, root, name, part))
        found += len(entries) > bool(part.include)
        if entries:
            yield ContextSource("" if part.include else name, entries)
    if part.required and not found:
        shown = posixpath.join(part.base, part.include).rstrip("/")
        raise NotFoundError(f"/{shown} is not in the stage or image it is copied from")


def _matches(root: int, part: Part) -> list[str]:
    if has_magic(part.base):
        return sorted(_glob(root, "", part.base.split("/")), key=lambda path: path.split("/"))
    return [part.base] if _mode(root, part.base) is not None else []


def _glob(root: int, base: str, parts_: list[str]) -> Iterator[str]:
    head, *rest = parts_
    names = [literal(head)]
    if has_magic(head):
        matcher = compile_match(head)
        names = [name for name in _names(root, base) if matcher.match(name)]
    for name in names:
        path = posixpath.join(base, name)
        if rest:
            yield from _glob(root, path, rest)
        elif _mode(root, path) is not None:
            yield path


def _names(root: int, path: str) -> list[str]:
    try:
        fd = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def _mode(root: int, path: str) -> int | None:
    try:
        fd = open_in_root(root, path, os.O_PATH)
    except OSError:
        return None
    try:
        return seen(f"/proc/self/fd/{fd}", os.fstat(fd), follow=True).mode
    finally:
        os.close(fd)


def _entries(host: str, root: int, name: str, part: Part) -> Iterator[ContextEntry]:
    resolved = resolve_in_root(root, name)
    kind = _KINDS.get(stat.S_IFMT(_mode(root, name) or 0))
    if kind is None:
        raise NotFoundError(f"/{name} is a socket and cannot be copied")
    if kind is not Kind.DIRECTORY:
        if not part.excluded(posixpath.basename(name)):
            yield ContextEntry(resolved, "", kind)
        return
    yield ContextEntry(resolved, "", kind)
    yield from _below(_Level(os.path.join(host, resolved), resolved, ""), part)


class _Level:
    """A directory on the way down; `held` is its own entry when that counts only if something in it does."""

    def __init__(self, host: str, path: str, target: str, held: ContextEntry | None = None) -> None:
        self.path, self.target, self.held = path, target, held
        with os.scandir(host) as entries:
            self.entries = iter(sorted(entries, key=lambda e: e.name))


def _below(top: _Level, part: Part) -> Iterator[ContextEntry]:
    levels = [top]  # and no recursion: trees may be deeper than Python's stack
    while levels:
        level = levels[-1]
        entry = next(level.entries, None)
        if entry is None:
            levels.pop()
            continue
        inner = f"{level.path}/{entry.name}" if level.path else entry.name
        below = f"{level.target}/{entry.name}" if level.target else entry.name
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # as in changes.py: overlayfs lists a whiteout of nothing
        kind = _KINDS.get(stat.S_IFMT(seen(entry.path, status).mode))
        if kind is None or part.excluded(below):
            continue
        included = part.included(below)
        if included:
            yield from _held(levels)
            yield ContextEntry(inner, below, kind)
        if kind is Kind.DIRECTORY and (included or part.may_hold(below)):
            held = None if included else ContextEntry(inner, below, kind, parent=True)
            levels.append(_Level(entry.path, inner, below, held))


def _held(levels: list[_Level]) -> Iterator[ContextEntry]:
    """The entries the directories on the way down have held back, once."""
    for level in levels:
        if level.held is not None:
            yield level.held
            level.held = None
