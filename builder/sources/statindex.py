"""Content digests of files, remembered by their stat tuple so that what did not change is not read.

Trust follows git's racy rule (git's technical/racy-git): a remembered digest counts only when the file's
ctime is older than the moment it was remembered by more than the clock's grain; a file touched within the
same tick as its hashing could have changed unseen, so it is read again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Sequence

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError
from builder.store.stats import StatKey, StatTable

# Kernel timestamps move in ticks of up to 10 ms (CONFIG_HZ=100); file systems with whole-second times exist
# too (ext3, some FUSE), and there ctime ends in zeros.
_GRAIN_NS = 20_000_000
_COARSE_NS = 2_000_000_000


class Hashed(Struct, frozen=True):
    """A file with the stat tuple it had and the digest of its content."""

    key: StatKey
    digest: Digest


def stat_key(found: os.stat_result) -> StatKey:
    """The tuple that identifies a state of a file."""
    return (
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        stat.S_IMODE(found.st_mode),
    )


def digests(table: StatTable, files: Sequence[tuple[str, os.stat_result]]) -> list[Hashed]:
    """The content digest of each (path, stat), read only where the table does not know it.

    Raises BadInputError when a file changes while it is read.
    """
    keys = [stat_key(found) for _, found in files]
    known = table.lookup(keys)
    fresh: list[tuple[StatKey, Digest]] = []
    result: list[Hashed] = []
    for (path, _), key, digest in zip(files, keys, known, strict=True):
        if digest is None:
            key, digest = _read(path)
            fresh.append((key, digest))
        result.append(Hashed(key, digest))
    table.remember([entry for entry in fresh if _settled(entry[0])])
    return result


def _settled(key: StatKey) -> bool:
    ctime = key[4]
    grain = _COARSE_NS if ctime % 1_000_000_000 == 0 else _GRAIN_NS
    return ctime + grain < time.time_ns()


def _read(path: str) -> tuple[StatKey, Digest]:
    with open(path, "rb", buffering=0) as file:
        before = stat_key(os.fstat(file.fileno()))
        digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        if stat_key(os.fstat(file.fileno())) != before:
            raise BadInputError(f"{path} changed while it was read", hint="build again when nothing writes to it")
    return before, digest
