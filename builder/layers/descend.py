"""A file tree → entries, by descriptors: whoever changes it meanwhile cannot lead the walk elsewhere by a link.

Other than in changes.py, where nobody does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from msgspec.structs import replace

from builder.layers.changes import described
from builder.layers.entry import Entry, Kind

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def entries(parent: int, name: str, top: str, *, mounts: bool) -> Iterator[tuple[Entry, str]]:
    """What lies at `name` in the directory `parent` (a descriptor), called `top`; and the path each is read from.

    Parents first, siblings in byte order; with `top` empty a directory's own entry is left out. A path is good until
    the next is asked for. Sockets are left out, and so is what disappears. Without `mounts`, directories of another
    file system are shown empty. Raises OSError for `name` itself.
    """
    links: dict[tuple[int, int], str] = {}
    first = _entry(parent, name, top, links)
    if first is None:
        return
    if top:
        yield first
    if first[0].kind is not Kind.DIRECTORY:
        return
    todo = [_opened(parent, name, top)]
    device = os.fstat(todo[0][0]).st_dev
    try:
        while todo:
            directory, base, names = todo[-1]
            if not names:
                os.close(todo.pop()[0])
                continue
            name = names.pop()
            try:
                found = _entry(directory, name, f"{base}/{name}" if base else name, links)
                inner = None
                if found is not None and found[0].kind is Kind.DIRECTORY:
                    inner = _opened(directory, name, found[0].path, None if mounts else device)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if inner is not None:
                todo.append(inner)
            if found is not None:
                yield found
    finally:
        for directory, _, _ in todo:
            os.close(directory)


def _opened(parent: int, name: str, path: str, device: int | None = None) -> tuple[int, str, list[str]]:
    """An open directory, its path, and the names in it, last first; none if it is not of `device`."""
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        if device not in (None, os.fstat(fd).st_dev):
            return fd, path, []
        return fd, path, sorted(os.listdir(fd), key=os.fsencode, reverse=True)
    except BaseException:
        os.close(fd)
        raise


def _entry(parent: int, name: str, path: str, links: dict[tuple[int, int], str]) -> tuple[Entry, str] | None:
    source = f"/proc/self/fd/{parent}/{name}"
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    entry = described(path, source, status)
    if entry is None:
        return None
    if entry.kind is not Kind.DIRECTORY and status.st_nlink > 1:
        first = links.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            entry = replace(entry, kind=Kind.HARDLINK, link=first, size=0)
    return entry, source
