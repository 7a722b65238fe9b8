"""The table of answers, as it is written; store/answers reads it."""

from __future__ import annotations

import time
from contextlib import suppress

from builder.store.answers import KEPT, Answer, Needs
from builder.store.db import Database


class AnswerTable:
    """The answers of a store."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def keep(self, asked: bytes, needs: Needs, state: bytes, answer: Answer) -> None:
        """Remember what was `asked` to come to `answer` as long as what is behind its `needs` is in that `state`."""
        values = (asked, time.time(), needs.files, needs.rows, needs.blobs, state)
        with suppress(UnicodeEncodeError):  # what is not text cannot be kept as that
            self._db.execute_optional(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(*values, answer.shown, answer.said, needs.proofs)],
            )
        old = "SELECT asked FROM answers ORDER BY at DESC LIMIT -1 OFFSET ?"
        self._db.execute_optional(f"DELETE FROM answers WHERE asked IN ({old})", [(KEPT,)])
