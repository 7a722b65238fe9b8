"""The stat index on disk: what files held in certain states. When to trust it: sources/statindex.

A row a directory, so that what did not change is compared and taken at once; and a row a selection, by the fingerprint
of the walk that found it (sources/walk), so that a context that did not change at all is one look-up.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.readied import readied

if TYPE_CHECKING:
    from builder.store.db import Database

# SQLite takes 999 values a statement since ever, more only by default
_BATCH = 900
_DAY = 24 * 3600
# In days. What was not used for so long goes when something is collected.
_KEPT = 30

Attributes = tuple[tuple[str, bytes], ...]


class Contents(Struct, frozen=True):
    """What files of a directory held: their states (STATE of sources/walk) one behind the other, and as many sha256.

    `xattrs` has their attributes by position, where there are any. `read` is when the youngest of these was read
    (nanoseconds since the epoch).
    """

    states: bytes
    digests: bytes
    xattrs: dict[int, Attributes]
    read: int


class Known(Struct, frozen=True):
    """The digest of a selection; `read` is as in Contents, of all files in it."""

    digest: Digest
    read: int


class StatTable:
    """What is remembered of directories, by their absolute paths, and of selections, by their fingerprints."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def directories(self, paths: Sequence[str]) -> dict[str, Contents]:
        """What is remembered of those directories of which something is."""
        found: dict[str, Contents] = {}
        idle: list[tuple[int, bytes]] = []
        for start in range(0, len(paths), _BATCH):
            batch = [os.fsencode(path) for path in paths[start : start + _BATCH]]
            marks = ",".join("?" * len(batch))
            sql = f"SELECT path, contents, used FROM directories WHERE path IN ({marks})"
            for path, data, used in self._db.rows(sql, batch):
                contents = _decoded(data)
                if contents is not None:
                    found[os.fsdecode(path)] = contents
                if used != _today():
                    idle.append((_today(), path))
        if idle:
            self._db.execute_optional("UPDATE directories SET used = ? WHERE path = ?", idle)
        return found

    def remember(self, found: Iterable[tuple[str, Contents]]) -> None:
        """Keep what was found in directories, in place of what was known of them."""
        rows = [(os.fsencode(path), msgspec.msgpack.encode(contents), _today()) for path, contents in found]
        if rows:
            self._db.execute_optional("INSERT OR REPLACE INTO directories VALUES (?, ?, ?)", rows)

    def selection(self, fingerprint: bytes) -> Known | None:
        """The selection that a walk with this fingerprint finds."""
        row = self._db.row("SELECT digest, read, used FROM selections WHERE fingerprint = ?", (fingerprint,))
        if row is None:
            return None
        digest, read, used = row
        if used != _today():
            self._db.execute_optional("UPDATE selections SET used = ? WHERE fingerprint = ?", [(_today(), fingerprint)])
        return Known(Digest(digest.hex()), read)

    def remember_selection(self, fingerprint: bytes, known: Known) -> None:
        """Keep what a walk with this fingerprint finds."""
        row = fingerprint, bytes.fromhex(known.digest.hex), known.read, _today()
        self._db.execute_optional("INSERT OR REPLACE INTO selections VALUES (?, ?, ?, ?)", [row])

    def sweep(self) -> None:
        """Drop what was not used for a month, and directories that are no more."""
        gone = [(path,) for (path,) in self._db.rows("SELECT path FROM directories") if not os.path.isdir(path)]
        self._db.execute_optional("DELETE FROM directories WHERE path = ?", gone)
        for table in ("directories", "selections"):
            self._db.execute_optional(f"DELETE FROM {table} WHERE used < ?", [(_today() - _KEPT,)])


def _decoded(data: bytes) -> Contents | None:
    try:
        return msgspec.msgpack.decode(data, type=readied(Contents))
    except msgspec.MsgspecError:
        return None  # damaged


def _today() -> int:
    return int(time.time()) // _DAY
