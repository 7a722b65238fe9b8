"""The stat index on disk: which content a file had in a certain state. When to trust it: sources/statindex."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from builder.digest import Digest
from builder.store.db import Database

# device, inode, size, mtime (ns), ctime (ns), permission bits
StatKey = tuple[int, int, int, int, int, int]
# SQLite takes 999 values a statement since ever, more only by default
_BATCH = 900


class StatTable:
    """One row a file: its last state and digest."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def lookup(self, keys: Sequence[StatKey]) -> list[Digest | None]:
        """The digest remembered for exactly each state, or None."""
        known: dict[StatKey, bytes] = {}
        inodes = sorted({_signed(key[1]) for key in keys})
        for start in range(0, len(inodes), _BATCH):
            batch = inodes[start : start + _BATCH]
            marks = ",".join("?" * len(batch))
            for row in self._db.rows(
                f"SELECT dev, ino, size, mtime, ctime, mode, digest FROM stats WHERE ino IN ({marks})", batch
            ):
                known[row[:6]] = row[6]
        found = (known.get((_signed(k[0]), _signed(k[1]), *k[2:])) for k in keys)
        return [None if digest is None else Digest(digest.hex()) for digest in found]

    def remember(self, entries: Iterable[tuple[StatKey, Digest]]) -> None:
        """Keep digests of states."""
        rows = [(_signed(k[0]), _signed(k[1]), *k[2:], bytes.fromhex(digest.hex)) for k, digest in entries]
        if rows:
            self._db.execute_optional("INSERT OR REPLACE INTO stats VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _signed(number: int) -> int:
    """A 64-bit number as SQLite can hold it."""
    return number - (1 << 64) if number >= 1 << 63 else number
