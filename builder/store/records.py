"""Cache records: key → layer, with the pre-image the key was made of and figures for people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple

from builder.digest import Digest
from builder.store.db import Database


class CacheRecord(Struct, frozen=True):
    """One step that ran. Times in seconds since the epoch; `seconds` is how long it took.

    `name`, `stage`, `line` and `buildfile` say where the step stood when it ran.
    """

    key: Digest
    preimage: bytes
    diff_id: Digest
    created: float
    last_used: float
    hits: int
    seconds: float
    name: str
    stage: str
    line: int
    buildfile: str


_COLUMNS = ", ".join(CacheRecord.__struct_fields__)
_PLACES = ", ".join("?" for _ in CacheRecord.__struct_fields__)


class Records:
    """The cache records of a store."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, key: Digest) -> CacheRecord | None:
        """The record of `key`, or None."""
        row = self._db.row(f"SELECT {_COLUMNS} FROM records WHERE key = ?", (key.hex,))
        return None if row is None else _record(row)

    def add(self, record: CacheRecord) -> None:
        """Keep a record; a newer one for the same key takes the older one's place."""
        values = [v.hex if isinstance(v, Digest) else v for v in _values(record)]
        with self._db.transaction():
            self._db.execute(f"INSERT OR REPLACE INTO records ({_COLUMNS}) VALUES ({_PLACES})", values)
            self._db.execute("DELETE FROM evictions WHERE key = ?", (record.key.hex,))

    def touch(self, keys: Sequence[Digest]) -> None:
        """Note that these were used now."""
        if keys:
            now = time.time()
            self._db.execute_optional(
                "UPDATE records SET last_used = ?, hits = hits + 1 WHERE key = ?",
                [(now, k.hex) for k in keys],
            )

    def all(self) -> list[CacheRecord]:
        """Every record, by Buildfile and line."""
        return [
            _record(row) for row in self._db.rows(f"SELECT {_COLUMNS} FROM records ORDER BY buildfile, line, created")
        ]


def _values(record: CacheRecord) -> tuple[Any, ...]:
    return astuple(record)


def _record(row: Sequence[Any]) -> CacheRecord:
    key, preimage, diff_id, *rest = row
    return CacheRecord(Digest(key), preimage, Digest(diff_id), *rest)
