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

    `name`, `stage`, `line` and `buildfile` say where the step stood when it ran; `inputs` what it stood on, in the
    order of `graph.vertex.inputs`: keys of records as hex digits, `image:NAME@DIGEST` for a base, empty for nothing.
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
    inputs: tuple[str, ...] = ()


class Figures(Struct, frozen=True):
    """A record without its pre-image; `git` says that its step took a repository's files."""

    key: Digest
    diff_id: Digest
    created: float
    last_used: float
    hits: int
    seconds: float
    name: str
    stage: str
    line: int
    buildfile: str
    git: bool


_COLUMNS = ", ".join(CacheRecord.__struct_fields__)
_PLACES = ", ".join("?" for _ in CacheRecord.__struct_fields__)
# A name is `[stage 2/4] TEXT`.
_TEXT = "substr(name, instr(name, '] ') + 2 * (instr(name, '] ') > 0))"
_MOST_NEAR = 24


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
        values = [_stored(value) for value in astuple(record)]
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

    def near(self, buildfile: str, stage: str, line: int, text: str) -> list[CacheRecord]:
        """The records of a stage that stood at this line or had this text (a name without its `[2/4]`).

        The last used first; of many the newest.
        """
        return self._select(
            ("buildfile = ? AND stage = ? AND line = ?", (buildfile, stage, line)),
            (f"buildfile = ? AND {_TEXT} = ? AND stage = ?", (buildfile, text, stage)),
        )

    def around(self, buildfile: str, stage: str, text: str) -> list[CacheRecord]:
        """As `near`: those of a stage at any line, or of this text in any stage."""
        return self._select(
            ("buildfile = ? AND stage = ?", (buildfile, stage)), (f"buildfile = ? AND {_TEXT} = ?", (buildfile, text))
        )

    def beginning(self, digits: str) -> list[CacheRecord]:
        """The records whose keys begin with these hex digits; of many some."""
        return self._select(("key BETWEEN ? AND ?", (digits, f"{digits}g")))

    def at(self, buildfile: str, line: int) -> list[CacheRecord]:
        """The records of a line of a Buildfile, the last used first; of many some."""
        return self._select(("buildfile = ? AND line = ?", (buildfile, line)))

    def last_used(self) -> tuple[float, str] | None:
        """When a record was last used or made, and by a build of which Buildfile; None without records."""
        row = self._db.row("SELECT max(last_used), buildfile FROM records")
        return None if row is None or row[0] is None else (row[0], row[1])

    def _select(self, *conditions: tuple[str, tuple[str | int, ...]]) -> list[CacheRecord]:
        """The newest of those that meet one of `conditions`.

        Each has an index of its own, in the order of age: a machine may have ten thousands of records of one name of
        a Buildfile, and each step that misses asks.
        """
        newest = f"ORDER BY created DESC LIMIT {_MOST_NEAR}"
        each = (f"SELECT * FROM (SELECT key, created FROM records WHERE {c} {newest})" for c, _ in conditions)
        keys = f"SELECT key FROM ({' UNION '.join(each)} {newest})"
        sql = f"SELECT {_COLUMNS} FROM records WHERE key IN ({keys}) ORDER BY last_used DESC"
        return [_record(row) for row in self._db.rows(sql, [value for _, values in conditions for value in values])]

    def figures(self) -> list[Figures]:
        """Every record's figures, the last used first."""
        rows = self._db.rows(
            "SELECT key, diff_id, created, last_used, hits, seconds, name, stage, line, buildfile,"
            """ CAST(preimage AS TEXT) LIKE '%"op":"gittree"%' FROM records ORDER BY last_used DESC"""
        )
        return [_figures(*row) for row in rows]

    def places(self) -> list[tuple[Digest, str]]:
        """The diff ID of every record with its place, `Buildfile:3`; by Buildfile and line."""
        rows = self._db.rows("SELECT diff_id, buildfile, line FROM records ORDER BY buildfile, line, created")
        return [(Digest(diff_id), f"{buildfile}:{line}") for diff_id, buildfile, line in rows]

    def layers(self) -> frozenset[Digest]:
        """The diff IDs that records name."""
        return frozenset(Digest(diff_id) for (diff_id,) in self._db.rows("SELECT DISTINCT diff_id FROM records"))

    def forget(self, keys: Sequence[Digest]) -> None:
        """Remove records. Their layers go with the next garbage collection."""
        self._db.execute_many("DELETE FROM records WHERE key = ?", [(key.hex,) for key in keys])

    def count(self) -> int:
        """How many there are."""
        return int(self._db.row("SELECT COUNT(*) FROM records")[0])

    def all(self) -> list[CacheRecord]:
        """Every record, by Buildfile and line."""
        return [
            _record(row) for row in self._db.rows(f"SELECT {_COLUMNS} FROM records ORDER BY buildfile, line, created")
        ]


def _figures(key: str, diff_id: str, *rest: Any) -> Figures:
    values: list[Any] = [Digest(key), Digest(diff_id), *rest[:-1], bool(rest[-1])]
    return Figures(*values)


def _stored(value: Any) -> Any:
    if isinstance(value, Digest):
        return value.hex
    return "\n".join(value) if isinstance(value, tuple) else value


def _record(row: Sequence[Any]) -> CacheRecord:
    key, preimage, diff_id, *rest, inputs = row
    values: list[Any] = [Digest(key), preimage, Digest(diff_id), *rest, tuple(inputs.split("\n")) if inputs else ()]
    return CacheRecord(*values)
