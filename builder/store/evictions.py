"""Notes of the cache records that were removed: which key, when, and by what, so that a miss can be explained.

Whoever removes records calls `note` (in the transaction that removes them); a record that is made again takes its
note away (store/records). Losing a note costs an explanation, nothing else, so only the newest are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from msgspec import Struct

from builder.digest import Digest
from builder.store.db import Database

# A note takes some 90 bytes.
KEPT = 20_000


class Eviction(Struct, frozen=True):
    """That a record was removed: `at` in seconds since the epoch, `by` what (`gc`, `prune`)."""

    at: float
    by: str


class Evictions:
    """The notes of a store."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def note(self, keys: Iterable[Digest], by: str = "gc") -> None:
        """Note that the records of `keys` were removed now, by `gc` (the cap after a build) or `prune` (the user)."""
        now = time.time()
        self._db.execute_many("INSERT OR REPLACE INTO evictions VALUES (?, ?, ?)", [(k.hex, now, by) for k in keys])
        self._db.execute(
            "DELETE FROM evictions WHERE key IN (SELECT key FROM evictions ORDER BY at DESC LIMIT -1 OFFSET ?)", (KEPT,)
        )

    def of(self, key: Digest) -> Eviction | None:
        """When and by what the record of `key` was removed; None when it was not, or long ago."""
        row = self._db.row("SELECT at, by FROM evictions WHERE key = ?", (key.hex,))
        return None if row is None else Eviction(*row)
