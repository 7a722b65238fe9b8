"""Cache mounts: directories that outlive builds and are part of no layer; here, who may have them when.

    <root>/cachemounts/<name>/cache.json   what it is (image/cachemount.About), and what a new one begins as
                              uses.json    where it is used, the newest first
                              lock         held while one of its directories is chosen or made, or it is changed
                              0/           the directory steps see; 1/, 2/, … more of it, made when 0/ is taken
                              0.lock       held by the steps that use 0/, shared or alone; as old as the last use

Who waits for a directory holds no `lock` meanwhile, so that others can choose. The directories hold files of mapped
IDs: all this runs in a launcher's children.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from builder.errors import NotFoundError, StoreError
from builder.linux.files import remove_tree, write_atomically
from builder.readied import readied

DIRECTORY = "cachemounts"
# Makes a new directory at a path.
Make = Callable[[str], None]

_MOST_USES = 20
_SILENT_SECONDS, _PAUSE_SECONDS = 1.0, 0.02


class Use(Struct, frozen=True):
    """A RUN that mounts it: Buildfile and line, target, and how it shares."""

    place: str
    target: str
    sharing: str


class Patience:
    """Waits for what others hold: says so on standard error after a second, and gives up after `seconds` if any.

    `what` is what others know the cache mount by.
    """

    def __init__(self, what: str, seconds: float | None = None) -> None:
        self._what, self._seconds = what, seconds
        self._begun = time.monotonic()
        self._told = False

    def pause(self) -> None:
        """Let some time go by. Raises StoreError when it has been too much."""
        waited = time.monotonic() - self._begun
        if self._seconds is not None and waited >= self._seconds:
            raise in_use(self._what)
        if waited > _SILENT_SECONDS and not self._told:
            self._told = True
            bound = "" if self._seconds is None else f" up to {self._seconds:g} s"
            with suppress(OSError):
                os.write(2, f"waiting{bound} for cache mount {self._what}, which is in use\n".encode())
        time.sleep(_PAUSE_SECONDS)

    def take(self, fd: int, how: int) -> None:
        """Get the lock `how` (flock(2)) on a descriptor."""
        while not tried(fd, how):
            self.pause()
            if self._told and self._seconds is None:
                fcntl.flock(fd, how)  # in turn with the others that wait
                return


def in_use(what: str, instead: str = "wait longer: --wait TIME") -> StoreError:
    """The error of who may not or would not wait; `instead` is what else there is to do."""
    return StoreError(
        f"cache mount {what} is in use by a step or another command",
        hint=f"try again when that has ended, or {instead}",
    )


def tried(fd: int, how: int) -> bool:
    """Whether the lock `how` could be taken at once."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def held(root: Path, name: str, about: bytes, sharing: str, make: Make, uses: Sequence[Use] = ()) -> Iterator[str]:
    """The directory of the cache mount `name` as long as the context lasts; gives its path.

    `about` is what cache.json says of it; `make` makes a new directory at the path it is given; `uses` are by whom.
    `sharing`: `shared` uses one that others share, `locked` waits until one is free, `private` takes a free one;
    `shared` and `private` get a new one when all are taken. Waiting ends with CanceledError when the call is canceled.
    """
    fd, path = _taken(root / DIRECTORY / name, about, sharing, make, uses)
    try:
        yield path
    finally:
        os.utime(fd)
        os.close(fd)


@contextmanager
def entered(root: Path, name: str, seconds: float, *, alone: bool) -> Iterator[str]:
    """The first directory of a cache mount there is, shared with steps or `alone`; waits at most `seconds`.

    Raises NotFoundError when there is none, StoreError when it stays in use.
    """
    home = root / DIRECTORY / name
    patience = Patience(called(home), seconds)
    while True:
        with choice(home, patience):
            fd = _opened(home, 0)
            if not os.path.isdir(f"{home}/0"):
                os.close(fd)
                raise _nothing(called(home))
            if tried(fd, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
                break
            os.close(fd)
        patience.pause()
    try:
        yield f"{home}/0"
    finally:
        os.close(fd)


@contextmanager
def replaced(root: Path, name: str, about: bytes, seconds: float) -> Iterator[str]:
    """The path of a cache mount's first directory, made or not, that nobody has or gets meanwhile: steps wait.

    Waits at most `seconds` for those that have it. A cache mount whose directory was not made is gone at the end.
    Raises StoreError when it stays in use.
    """
    home = root / DIRECTORY / name
    patience = Patience(called(home), seconds)
    while True:
        with choice(home, patience, new=True):
            fd = _opened(home, 0)
            try:
                if tried(fd, fcntl.LOCK_EX):
                    try:
                        if not (home / "cache.json").exists():
                            write_atomically(f"{home}/cache.json", about)
                        yield f"{home}/0"
                        os.utime(fd)
                    finally:
                        if not os.path.isdir(f"{home}/0"):
                            remove_tree(str(home))
                    return
            finally:
                os.close(fd)
        patience.pause()


@contextmanager
def choice(home: Path, patience: Patience, *, new: bool = False) -> Iterator[None]:
    """Be the one who chooses or changes the directories of the cache mount at `home`; `new`: made when it is missing.

    Raises NotFoundError when it is missing.
    """
    while True:
        if new:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            fd = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            if new:
                continue  # it was removed just now
            raise _nothing(home.name[:12]) from None
        try:
            patience.take(fd, fcntl.LOCK_EX)
            if _is_at(fd, home / "lock"):
                yield
                return
        finally:
            os.close(fd)


def numbers(home: Path) -> list[int]:
    """The numbers of a cache mount's directories that anyone has or had."""
    return sorted(int(path.stem) for path in home.glob("*.lock") if path.stem.isdigit())


def called(home: Path) -> str:
    """What a user knows a cache mount by: its id; without one, the beginning of its name."""
    try:
        found = msgspec.json.decode((home / "cache.json").read_bytes())
        return str(found["id"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return home.name[:12]


def uses(home: Path) -> tuple[Use, ...]:
    """Where the cache mount at `home` is used, as far as that is known."""
    try:
        return msgspec.json.decode((home / "uses.json").read_bytes(), type=readied(tuple[Use, ...]))
    except (OSError, msgspec.DecodeError):
        return ()


def _nothing(what: str) -> NotFoundError:
    return NotFoundError(f"there is no cache mount {what}", hint="pybuild cache mount ls shows those there are")


def _is_at(fd: int, path: Path | str) -> bool:
    """Whether an open file still has that name: who removes a cache mount does not wait for those who wait for it."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _opened(home: Path, number: int) -> int:
    return os.open(f"{home}/{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _taken(home: Path, about: bytes, sharing: str, make: Make, by: Sequence[Use]) -> tuple[int, str]:
    """A descriptor that holds the lock of one of the directories, and that directory's path."""
    patience = Patience(called(home))
    while True:
        fd = -1
        try:
            with choice(home, patience, new=True):
                fd, number = _free(home, sharing)
                if number is not None:
                    _begin(home, fd, number, about, make, by)
                    return fd, f"{home}/{number}"
            patience.take(fd, fcntl.LOCK_EX)
            if _is_at(fd, f"{home}/0.lock"):
                _begin(home, fd, 0, about, make, by)
                return fd, f"{home}/0"
            os.close(fd)
        except BaseException:
            if fd >= 0:
                os.close(fd)
            raise


def _free(home: Path, sharing: str) -> tuple[int, int | None]:
    """A lock that is held now and its number; for `locked`, when all are taken, the first one, not held."""
    how = fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX
    for number in itertools.count():
        if sharing == "locked" and number and not os.path.exists(f"{home}/{number}.lock"):
            return _opened(home, 0), None
        fd = _opened(home, number)
        if tried(fd, how):
            return fd, number
        os.close(fd)
    raise AssertionError("count() does not end")


def _begin(home: Path, fd: int, number: int, about: bytes, make: Make, by: Sequence[Use]) -> None:
    """Have everything there for a step that holds the lock `fd` of a directory."""
    path = f"{home}/{number}"
    if not os.path.isdir(path):
        if not (home / "cache.json").exists():
            write_atomically(f"{home}/cache.json", about)
        unfinished = f"{path}.new"
        remove_tree(unfinished)
        make(unfinished)
        os.rename(unfinished, path)
    known = uses(home)
    if any(use not in known for use in by):
        found = tuple(dict.fromkeys((*by, *known)))[:_MOST_USES]
        write_atomically(f"{home}/uses.json", msgspec.json.encode(found))
    os.utime(fd)
