"""The cache mounts a store has: found, looked at, removed. In a launcher's children, for the files of mapped IDs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from builder.errors import NotFoundError, UsageError
from builder.image.cachemount import About
from builder.linux.locks import try_lock
from builder.points import point
from builder.readied import readied
from builder.snapshots.active import Snapshots
from builder.snapshots.cachemounts import DIRECTORY, Patience, Use, called, choice, in_use, numbers, uses
from builder.store.blobs import store_errors

# For those who choose a directory or look whether one is in use, which takes an instant.
_PATIENCE_SECONDS = 1.0


class CacheMount(Struct, frozen=True):
    """One cache mount: its name in the store, what it is, where it is used as far as that is known.

    `size` in bytes of blocks, as du(1) counts, and `files` (all but directories) are of all its `directories`
    together. `created` and `last_used` in seconds since the epoch.
    """

    name: str
    about: About
    uses: tuple[Use, ...]
    size: int
    files: int
    directories: int
    created: float
    last_used: float
    in_use: bool


class Removed(Struct, frozen=True):
    """A cache mount that was removed: the bytes that are free now, and those that will be when its user ends."""

    name: str
    id: str
    freed: int
    later: int = 0


def named(root: Path) -> dict[str, About]:
    """The cache mounts of the store at `root` by name, but for such as have no directory yet."""
    found = {}
    for path in sorted((root / DIRECTORY).glob("*/cache.json")):
        with suppress(OSError, msgspec.DecodeError):
            if _directories(path.parent):
                found[path.parent.name] = msgspec.json.decode(path.read_bytes(), type=readied(About))
    return found


def find(root: Path, text: str) -> str:
    """The name of the cache mount with the id `text`, or whose name begins so. Raises NotFoundError, UsageError."""
    known = named(root)
    found = [name for name, about in known.items() if about.id == text]
    found = found or [name for name in known if text and name.startswith(text)]
    if not found:
        raise NotFoundError(f"there is no cache mount {text}", hint="pybuild cache mount ls shows those there are")
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} cache mounts are called {text}", hint=f"name one of {', '.join(n[:12] for n in found)}"
        )
    return found[0]


def stock(root: Path, names: Sequence[str] | None = None) -> tuple[CacheMount, ...]:
    """The cache mounts of the store at `root`, or those of `names`; the one used last comes first."""
    known = named(root)
    found = (_looked_at(root, name, known[name]) for name in known if names is None or name in names)
    return tuple(sorted((each for each in found if each is not None), key=lambda each: -each.last_used))


def last_used(root: Path) -> dict[str, float]:
    """When each cache mount was last used, by name, without looking at what is in it."""
    return {name: _last_used(root / DIRECTORY / name) for name in named(root)}


def remove(root: Path, name: str, *, force: bool = False) -> Removed:
    """Remove a cache mount, whole or not at all.

    With `force` also one that a step uses: that keeps its files until it ends. Raises NotFoundError, and StoreError
    for one in use.
    """
    home = root / DIRECTORY / name
    with (
        store_errors(root),
        Snapshots(root).scratch() as doomed,
        choice(home, Patience(called(home), _PATIENCE_SECONDS)),
        ExitStack() as stack,
    ):
        busy, identifier = _busy(home, stack), called(home)
        if busy and not force:
            raise in_use(identifier, "have it keep its files until then: --force")
        later = sum(_taken(f"{home}/{number}")[0] for number in busy)
        freed = sum(_taken(path)[0] for path in _directories(home)) - later
        for number in busy:
            _park(root, home, number)
        point("cachemount:removing")
        os.rename(home, f"{doomed}/{name}")
    return Removed(name, identifier, freed, later)


def _looked_at(root: Path, name: str, about: About) -> CacheMount | None:
    home = root / DIRECTORY / name
    try:
        created = (home / "cache.json").stat().st_mtime
    except FileNotFoundError:
        return None  # removed just now
    taken = [_taken(path) for path in _directories(home)]
    size, files = sum(each[0] for each in taken), sum(each[1] for each in taken)
    return CacheMount(name, about, uses(home), size, files, len(taken), created, _last_used(home), _is_in_use(home))


def _directories(home: Path) -> list[str]:
    return [f"{home}/{number}" for number in numbers(home) if os.path.isdir(f"{home}/{number}")]


def _last_used(home: Path) -> float:
    times = [0.0]
    for number in numbers(home):
        with suppress(FileNotFoundError):
            times.append((home / f"{number}.lock").stat().st_mtime)
    return max(times)


def _is_in_use(home: Path) -> bool:
    """Whether a step or a command has one of the directories, or it is being changed."""
    lock = try_lock(home / "lock") if home.is_dir() else None
    if lock is None:
        return True
    try:
        with ExitStack() as stack:
            return bool(_busy(home, stack))
    finally:
        os.close(lock)


def _busy(home: Path, stack: ExitStack) -> list[int]:
    """The numbers of the directories that are in use; the others are held as long as `stack` is."""
    found = []
    for number in numbers(home):
        lock = try_lock(home / f"{number}.lock")
        if lock is None:
            found.append(number)
        else:
            stack.callback(os.close, lock)
    return found


def _park(root: Path, home: Path, number: int) -> None:
    """Move a directory in use to tmp/, to be swept like what crashes leave: when nobody holds its lock any more."""
    path = f"{root}/tmp/active-{os.urandom(8).hex()}"
    os.link(home / f"{number}.lock", f"{path}.lock")
    os.rename(home / str(number), path)


def _taken(directory: str) -> tuple[int, int]:
    """Bytes in blocks of all below `directory` and itself, each inode once, and how many of them are no directories."""
    total = files = 0
    met: set[int] = set()
    for status in _walk(directory):
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_ino in met:
                continue
            met.add(status.st_ino)
        total += status.st_blocks * 512
        files += not stat.S_ISDIR(status.st_mode)
    return total, files


def _walk(directory: str) -> Iterator[os.stat_result]:
    todo = [directory]
    while todo:
        current = todo.pop()
        with suppress(FileNotFoundError, NotADirectoryError):  # gone meanwhile
            yield os.lstat(current)
            with os.scandir(current) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                        continue
                    with suppress(FileNotFoundError):
                        yield entry.stat(follow_symlinks=False)
