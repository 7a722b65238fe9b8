"""What a step takes of another stage or image, as a list of what would be copied of it, without times.

Made of the same selection the copying makes (layers/select), so that nothing is taken that is not in it. Its digest
stands for the source in keys: whatever else changes there does not matter.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence

from builder.digest import Digest, file_sha256
from builder.errors import NotFoundError
from builder.layers.changes import described
from builder.layers.copyjob import CHOSEN, Chosen, ContextSource
from builder.layers.entry import Entry, Kind
from builder.layers.select import select_in_root
from builder.threads import each

# In bytes. From this size on a thread of its own pays.
_LARGE = 1 << 20
# In bytes. Of a longer list there is its digest alone: nobody reads it, and it would fill memory and database.
_LONGEST = 16 << 20


def listing(root: str, chosen: Chosen) -> bytes:
    """The list of `chosen` in the directory `root`: what keys/listing reads, and the owner of each entry.

    One that says so when a source is missing, as the step will find. Raises OSError for what cannot be read.
    """
    try:
        sources = select_in_root(root, chosen.choice)
    except NotFoundError:
        return f"{CHOSEN}\nmissing".encode()
    known = _large(root, sources)
    lines = [CHOSEN]
    for source in sources:
        # Where a file goes depends on its name; what a directory has goes where the step says.
        is_directory = source.entries[0].kind is Kind.DIRECTORY
        lines.append(f"source {'' if is_directory else posixpath.basename(source.name)!r}")
        lines += _lines(root, source, known, top=chosen.top or not is_directory)
    found = "\n".join(lines).encode(errors="surrogateescape")
    return found if len(found) <= _LONGEST else f"{CHOSEN}\n{Digest.of(found)}".encode()


def _large(root: str, sources: Sequence[ContextSource]) -> dict[str, str]:
    """The digests of large files, by path: hashed side by side, as many as there are processors."""
    paths = {os.path.join(root, e.path) for source in sources for e in source.entries if e.kind is Kind.FILE}
    large = [path for path in sorted(paths) if os.lstat(path).st_size >= _LARGE]
    return dict(zip(large, each(_digest, large, len(os.sched_getaffinity(0)), lambda: None), strict=True))


def _lines(root: str, source: ContextSource, known: Mapping[str, str], *, top: bool) -> Iterator[str]:
    """A line for each entry: `kind 'target' mode uid:gid content`, the twin of a hard link, attributes."""
    links: dict[tuple[int, int], tuple[str, str]] = {}
    for found in source.entries if top else source.entries[1:]:
        path = os.path.join(root, found.path) if found.path else root
        status = os.lstat(path)
        entry = described(found.target, path, status)
        assert entry is not None  # the selection has no sockets
        inode = status.st_dev, status.st_ino
        several = status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
        first = links.get(inode) if several else None
        content = known.get(path) or _content(entry, path) if first is None else first[1]
        if several and first is None:
            links[inode] = found.target, content
        twin = "" if first is None else f" = {first[0]!r}"
        xattrs = "".join(f" {name!r}={value.hex()}" for name, value in entry.xattrs)
        yield f"{entry.kind} {found.target!r} {entry.mode:o} {entry.uid}:{entry.gid} {content}{twin}{xattrs}"


def _content(entry: Entry, path: str) -> str:
    """A file's digest, where a symlink leads, which device it is."""
    match entry.kind:
        case Kind.FILE:
            return _digest(path)
        case Kind.SYMLINK:
            return repr(entry.link)
        case Kind.CHAR | Kind.BLOCK:
            return f"{entry.device[0]}:{entry.device[1]}"
        case _:
            return "-"


def _digest(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return file_sha256(fd, os.fstat(fd).st_size).hex()
    finally:
        os.close(fd)
