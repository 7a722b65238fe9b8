"""Cache mounts: directories that outlive builds and are part of no layer.

    <root>/cachemounts/<name>/cache.json   what it is: the id, and what a new one begins as
                              lock         held while one of its directories is chosen or made
                              0/           the directory steps see; 1/, 2/, … more of it, made when 0/ is taken
                              0.lock       held by the steps that use 0/: shared, or by one alone

The directories hold files of mapped IDs: all this runs in a launcher's children.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.linux.files import remove_tree, write_atomically
from builder.linux.locks import locked

DIRECTORY = "cachemounts"
# Makes a new directory at a path.
Make = Callable[[str], None]


@contextmanager
def held(root: Path, name: str, about: bytes, sharing: str, make: Make) -> Iterator[str]:
    """The directory of the cache mount `name` as long as the context lasts; gives its path.

    `about` is what cache.json says of it; `make` makes a new directory at the path it is given. `sharing`: `shared`
    uses one that others share, `locked` waits until one is free, `private` takes a free one; `shared` and `private`
    get a new one when all are taken. Waiting ends with CanceledError when the call is canceled.
    """
    home = root / DIRECTORY / name
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd, number = _taken(home, sharing)
    try:
        path = f"{home}/{number}"
        with locked(home / "lock"):
            if not os.path.isdir(path):
                _begin(home, path, about, make)
        yield path
    finally:
        os.close(fd)


def _taken(home: Path, sharing: str) -> tuple[int, int]:
    """A descriptor that holds the lock of one of the directories, and its number."""
    how = fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX
    for number in itertools.count():
        path = f"{home}/{number}.lock"
        wait = sharing == "locked" and number > 0 and not os.path.exists(path)
        if wait:
            number = 0
            path = f"{home}/0.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how if wait else how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        except BaseException:
            os.close(fd)
            raise
        return fd, number
    raise AssertionError("count() does not end")


def _begin(home: Path, path: str, about: bytes, make: Make) -> None:
    if not (home / "cache.json").exists():
        write_atomically(f"{home}/cache.json", about)
    unfinished = f"{path}.new"
    remove_tree(unfinished)
    make(unfinished)
    os.rename(unfinished, path)
