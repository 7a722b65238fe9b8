"""What the patterns of a `COPY --from` name in another stage's root; every link is followed inside it."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator

from builder.errors import NotFoundError
from builder.lang.patterns import compile_match, has_magic, literal
from builder.layers.copyjob import ContextEntry, ContextSource
from builder.layers.entry import Kind
from builder.linux.paths import open_in_root, resolve_in_root

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
}


def select_in_root(root: str, patterns: tuple[str, ...]) -> tuple[ContextSource, ...]:
    """The sources `patterns` name below the directory `root`. Raises NotFoundError for one that names nothing."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return tuple(ContextSource(name, tuple(_entries(root, fd, name))) for p in patterns for name in _matches(fd, p))
    finally:
        os.close(fd)


def _matches(root: int, pattern: str) -> list[str]:
    if has_magic(pattern):
        found = sorted(_glob(root, "", pattern.split("/")))
    else:
        found = [literal(pattern)] if _mode(root, literal(pattern)) is not None else []
    if not found:
        raise NotFoundError(f"/{pattern} is not in the stage or image it is copied from")
    return found


def _glob(root: int, base: str, parts: list[str]) -> Iterator[str]:
    head, *rest = parts
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
        return os.fstat(fd).st_mode
    finally:
        os.close(fd)


def _entries(host: str, root: int, name: str) -> Iterator[ContextEntry]:
    resolved = resolve_in_root(root, name)
    kind = _KINDS.get(stat.S_IFMT(_mode(root, name) or 0))
    if kind is None:
        raise NotFoundError(f"/{name} is a socket and cannot be copied")
    yield ContextEntry(resolved, "", kind)
    if kind is Kind.DIRECTORY:
        yield from _below(os.path.join(host, resolved), resolved, "")


def _below(directory: str, path: str, target: str) -> Iterator[ContextEntry]:
    with os.scandir(directory) as entries:
        ordered = sorted(entries, key=lambda e: e.name)
    for entry in ordered:
        inner = f"{path}/{entry.name}" if path else entry.name
        below = f"{target}/{entry.name}" if target else entry.name
        kind = _KINDS.get(stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode))
        if kind is not None:
            yield ContextEntry(inner, below, kind)
        if kind is Kind.DIRECTORY:
            yield from _below(entry.path, inner, below)
