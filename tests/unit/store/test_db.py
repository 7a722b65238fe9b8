"""A database that is being made by another process meanwhile."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from builder.store.db import VERSION, Database


def test_one_waits_for_another_that_makes_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "pybuild.db"
    for _ in range(20):
        path.unlink(missing_ok=True)
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE mine (a)")
        ending = threading.Timer(0.02, other.rollback)
        ending.start()
        made = Database(path)
        assert made.row("PRAGMA user_version")[0] == VERSION
        assert made.row("PRAGMA journal_mode")[0] == "wal"
        ending.join()
        made.close()
        other.close()
