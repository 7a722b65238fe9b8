"""Small results remembered by what they were made of, such as a parsed Buildfile. Losing one costs time only."""

from __future__ import annotations

from typing import cast

from builder.store.db import Database

# Which layer another one is under SOURCE_DATE_EPOCH (solve/dating): the value is a diff ID.
DATED = "dated"

# Which layer others are together (api/squash): the value is a diff ID.
SQUASHED = "squashed"

# What a URL gave, by the URL: the value is JSON (sources/http) whose `digest` is a blob's.
FETCHED = "url"

# What a git reference named when it was last asked for (sources/remotes).
RESOLVED = "git"
# Which images were found to be signed, by name, manifest and key (sources/signed).
SIGNED = "signed"

# Which lines of which Buildfiles an image's history came from (solve/result), by the image's ID.
PLACES = "places"

# The kind of the digests of what is taken of stacks, by content chain and choice (solve/lookup).
TAKEN = "taken"


class Memo:
    """Values by kind and key."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, kind: str, key: str) -> bytes | None:
        """What was remembered, or None."""
        row = self._db.row("SELECT value FROM memo WHERE kind = ? AND key = ?", (kind, key))
        return None if row is None else cast("bytes", row[0])

    def put(self, kind: str, key: str, value: bytes) -> None:
        """Remember a value."""
        self._db.execute_optional("INSERT OR REPLACE INTO memo VALUES (?, ?, ?)", [(kind, key, value)])

    def first(self, kind: str, key: str, value: bytes) -> bytes:
        """The value remembered for `key`; `value` when this is the first."""
        self._db.execute("INSERT OR IGNORE INTO memo VALUES (?, ?, ?)", (kind, key, value))
        return self.get(kind, key) or value

    def values(self, kind: str) -> list[bytes]:
        """Every value of `kind`."""
        return [cast("bytes", row[0]) for row in self._db.rows("SELECT value FROM memo WHERE kind = ?", (kind,))]

    def forget(self, kind: str) -> None:
        """Forget every value of `kind`."""
        self._db.execute_optional("DELETE FROM memo WHERE kind = ?", [(kind,)])

    def forget_lost(self, kind: str) -> None:
        """Forget values of `kind`, which are diff IDs, of layers that are no longer known."""
        known = "SELECT diff_id FROM layers"
        self._db.execute_optional(
            f"DELETE FROM memo WHERE kind = ? AND CAST(value AS TEXT) NOT IN ({known})", [(kind,)]
        )

    def forget_places(self) -> None:
        """Forget what is remembered of images that are no longer known."""
        known = "SELECT config FROM images"
        self._db.execute_optional(f"DELETE FROM memo WHERE kind = ? AND key NOT IN ({known})", [(PLACES,)])
