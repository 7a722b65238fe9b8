"""The stat index on disk: which content a file had in a certain state. When to trust it: sources/statindex."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.linux.files import StatKey
from builder.store.db import Database

# SQLite takes 999 values a statement since ever, more only by default
_BATCH = 900
_COLUMNS = "dev, ino, size, mtime, ctime, mode, digest, xattrs, read"

Attributes = tuple[tuple[str, bytes], ...]


class Known(Struct, frozen=True, gc=False):
    """What a file held in a certain state; `read` is when (nanoseconds since the epoch)."""

    digest: Digest
    xattrs: Attributes
    read: int


class StatTable:
    """One row a file: its last state and what it held."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def lookup(self, keys: Sequence[StatKey]) -> list[Known | None]:
        """What is remembered for exactly each state, or None."""
        known: dict[StatKey, Any] = {}
        inodes = sorted({_signed(key[1]) for key in keys})
        for start in range(0, len(inodes), _BATCH):
            batch = inodes[start : start + _BATCH]
            marks = ",".join("?" * len(batch))
            for row in self._db.rows(f"SELECT {_COLUMNS} FROM stats WHERE ino IN ({marks})", batch):
                known[row[:6]] = row[6:]
        found = (known.get((_signed(k[0]), _signed(k[1]), *k[2:])) for k in keys)
        return [None if row is None else _known(*row) for row in found]

    def remember(self, entries: Iterable[tuple[StatKey, Known]]) -> None:
        """Keep what was found in states."""
        rows = [(_signed(k[0]), _signed(k[1]), *k[2:], *_row(known)) for k, known in entries]
        if rows:
            marks = ",".join("?" * len(rows[0]))
            self._db.execute_optional(f"INSERT OR REPLACE INTO stats ({_COLUMNS}) VALUES ({marks})", rows)


def _known(digest: bytes, xattrs: bytes, read: int) -> Known:
    return Known(Digest(digest.hex()), msgspec.msgpack.decode(xattrs, type=Attributes) if xattrs else (), read)


def _row(known: Known) -> tuple[bytes, bytes, int]:
    xattrs = msgspec.msgpack.encode(known.xattrs) if known.xattrs else b""
    return bytes.fromhex(known.digest.hex), xattrs, known.read


def _signed(number: int) -> int:
    """A 64-bit number as SQLite can hold it."""
    return number - (1 << 64) if number >= 1 << 63 else number
