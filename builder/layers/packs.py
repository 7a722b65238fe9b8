"""A file tree as packs: its tar, cut up so that a change in the tree changes few of the pieces.

    tar of a tree   | . | a | b | c | d … | a long file: beginning | middle | end | e | f …
    its packs       └── 0 ──┘└── 1 ──┘└ 2 ┘└─────────── 3 ─────────┘└── 4 ──┘└ 5 ─┘└─ 6 …

Before which entries a pack begins depends on names and sizes alone, so what is in a file changes its own pack only,
and what comes or goes the packs around it. A long file has packs of its own, each of the same length. All in a row
are one plain tar (tarwrite.py), whatever tree they are of.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError
from builder.layers.changes import described
from builder.layers.descend import entries
from builder.layers.entry import Entry, Kind
from builder.layers.tarwrite import header

# Most bytes of a pack: what is held in memory of it, and what a reader must be ready to hold.
MOST = 16 << 20
# A file longer than this has packs of its own, of so many bytes of it each.
LONG = 8 << 20
# A pack has at least so many bytes before another begins by chance, and _USUAL more on average: one file changed
# costs about so much, and a tree of 2 GB has some 3,000 packs.
_LEAST, _USUAL = 128 << 10, 512 << 10
_ATTEMPTS = 3
_UNIT = 1 << 64


class Pack(Struct, frozen=True):
    """One piece of the tar: its bytes, and the entries that begin in it. `goes_on`: the last does in the next pack."""

    data: bytes
    entries: tuple[Entry, ...]
    goes_on: bool = False


class Run(Struct, frozen=True):
    """Packs that begin and end between entries, by their digests: one, or all of a long file."""

    diff_ids: tuple[Digest, ...]
    entries: tuple[Entry, ...]


def packs(directory: str, left_out: list[str]) -> Iterator[Pack]:
    """The packs of the tree at `directory`, its own entry (the path is empty) first.

    `left_out` is added the paths of what cannot be in one: devices, and files that change too fast. Sockets are
    nothing, as is what disappears. Raises BadInputError when a long file changes while it is read.
    """
    missing: set[str] = set()
    parts: list[tuple[Entry, bytes]] = []
    size = 0
    for entry, source in _all(directory):
        found: tuple[Entry, bytes] | None = None
        long = entry.kind is Kind.FILE and entry.size > LONG
        if long and (fd := _opened(source)) is not None:
            if parts:
                yield _joined(parts)
            parts, size = [], 0
            yield from _long(entry, fd)
            continue
        orphan = entry.kind is Kind.HARDLINK and entry.link in missing
        if not long and not orphan and entry.kind not in (Kind.CHAR, Kind.BLOCK):
            found = _whole(entry, source)
        if found is None:
            missing.add(entry.path)
            left_out.append(entry.path)
            continue
        if parts and ((size >= _LEAST and _begins(found)) or size + len(found[1]) > MOST):
            yield _joined(parts)
            parts, size = [], 0
        parts.append(found)
        size += len(found[1])
    if parts:
        yield _joined(parts)


def runs(found: Iterable[Pack]) -> Iterator[Run]:
    """Packs gathered to runs; their bytes are forgotten."""
    diff_ids: list[Digest] = []
    begun: list[Entry] = []
    for pack in found:
        diff_ids.append(Digest.of(pack.data))
        begun += pack.entries
        if not pack.goes_on:
            yield Run(tuple(diff_ids), tuple(begun))
            diff_ids, begun = [], []


def missing(wanted: Sequence[tuple[Digest, bool]], here: Iterable[Run]) -> list[Run | int]:
    """What makes a tree of the packs `wanted` (digest, whether it goes on) where the runs `here` are.

    In the order of the tar: a run that is there, or the number of a pack that is not.
    """
    known = {run.diff_ids[0]: run for run in here}
    found: list[Run | int] = []
    at, between = 0, True
    while at < len(wanted):
        run = known.get(wanted[at][0]) if between else None
        if run is not None and _is_at(run, wanted, at):
            found.append(run)
            at += len(run.diff_ids)
            continue
        found.append(at)
        between = not wanted[at][1]
        at += 1
    return found


def _is_at(run: Run, wanted: Sequence[tuple[Digest, bool]], at: int) -> bool:
    last = len(run.diff_ids) - 1
    return tuple(wanted[at : at + last + 1]) == tuple((d, n < last) for n, d in enumerate(run.diff_ids))


def _all(directory: str) -> Iterator[tuple[Entry, str]]:
    top = described("", directory, os.lstat(directory))
    assert top is not None
    yield top, directory
    above = os.open(os.path.dirname(directory), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from entries(above, os.path.basename(directory), "", mounts=False)
    finally:
        os.close(above)


def _joined(parts: Sequence[tuple[Entry, bytes]]) -> Pack:
    return Pack(b"".join(data for _, data in parts), tuple(entry for entry, _ in parts))


def _begins(part: tuple[Entry, bytes]) -> bool:
    """Whether a pack may begin before an entry: by its name, the likelier the larger it is."""
    number = hashlib.blake2b(os.fsencode(part[0].path), digest_size=8).digest()
    return int.from_bytes(number, "big") * _USUAL < len(part[1]) * _UNIT


def _head(entry: Entry) -> bytes:
    return header(entry if entry.path else replace(entry, path="."))


def _whole(entry: Entry, source: str) -> tuple[Entry, bytes] | None:
    """An entry and its bytes in the tar; None for a file that does not keep still, or is gone."""
    if entry.kind is not Kind.FILE:
        try:
            entry = _timed(entry, os.lstat(source))
        except FileNotFoundError:
            return None
        return entry, _head(entry)
    for _ in range(_ATTEMPTS):
        fd = _opened(source)
        if fd is None:
            return None
        with os.fdopen(fd, "rb", buffering=0):
            before = os.fstat(fd)
            data = _exactly(fd, min(before.st_size, LONG) + 1)
            if len(data) == before.st_size and _state(before) == _state(os.fstat(fd)):
                entry = replace(_timed(entry, before), size=len(data))
                return entry, _head(entry) + data + bytes(-len(data) % 512)
    return None


def _long(entry: Entry, fd: int) -> Iterator[Pack]:
    """The packs of a long file, whose descriptor is closed then."""
    with os.fdopen(fd, "rb", buffering=0):
        before = os.fstat(fd)
        left = before.st_size
        entry = replace(_timed(entry, before), size=left)
        head = _head(entry)
        begun: tuple[Entry, ...] = (entry,)
        while head or left:
            data = _exactly(fd, min(left, LONG))
            steady = len(data) == min(left, LONG)
            left -= len(data)
            if not steady or (not left and _state(before) != _state(os.fstat(fd))):
                raise BadInputError(
                    f"/{entry.path} was written to while it was read",
                    hint="try again when no step uses the cache mount",
                )
            yield Pack(head + data + (b"" if left else bytes(-entry.size % 512)), begun, goes_on=left > 0)
            head, begun = b"", ()


def _exactly(fd: int, size: int) -> bytes:
    """So many bytes, fewer at the end of the file."""
    parts = []
    while size and (data := os.read(fd, size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def _opened(source: str) -> int | None:
    """A descriptor of a file; None when it is gone, or another thing by now."""
    try:
        # Not to wait for a FIFO that has taken the file's place.
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        return None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _timed(entry: Entry, status: os.stat_result) -> Entry:
    seconds, nanoseconds = divmod(status.st_mtime_ns, 1_000_000_000)
    return replace(entry, mtime=seconds, nanoseconds=nanoseconds)
