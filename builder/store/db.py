"""The store's SQLite file: connection, schema, and its errors as ours.

WAL lets readers and one writer work side by side; a writer waits for another up to `_WAIT_SECONDS`. With
synchronous=NORMAL a power cut may lose the last transactions, never the file's consistency (sqlite.org/wal.html);
a lost record costs one step run again.
"""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from builder.errors import DamagedError, StoreError
from builder.points import point

_WAIT_SECONDS = 30
# One entry a version; a store is brought to the newest by those after its own. Never change one that was released.
_MIGRATIONS = (
    """
    CREATE TABLE layers (
        diff_id TEXT PRIMARY KEY, content_id TEXT NOT NULL, size INTEGER NOT NULL,
        blob TEXT NOT NULL, media_type TEXT NOT NULL, blob_size INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE records (
        key TEXT PRIMARY KEY, preimage BLOB NOT NULL, diff_id TEXT NOT NULL, created REAL NOT NULL,
        last_used REAL NOT NULL, hits INTEGER NOT NULL, seconds REAL NOT NULL,
        name TEXT NOT NULL, stage TEXT NOT NULL, line INTEGER NOT NULL, buildfile TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE images (
        manifest TEXT PRIMARY KEY, media_type TEXT NOT NULL, size INTEGER NOT NULL,
        config TEXT NOT NULL, added REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE refs (name TEXT PRIMARY KEY, manifest TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE stats (
        dev INTEGER NOT NULL, ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
        ctime INTEGER NOT NULL, mode INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (ino, dev)
    ) WITHOUT ROWID;
    CREATE TABLE memo (
        kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    """,
    "CREATE TABLE evictions (key TEXT PRIMARY KEY, at REAL NOT NULL, by TEXT NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE listings (digest TEXT PRIMARY KEY, data BLOB NOT NULL);
    ALTER TABLE records ADD COLUMN inputs TEXT NOT NULL DEFAULT '';
    CREATE INDEX records_by_place ON records (buildfile, stage, line, name, created);
    """,
    """
    DROP TABLE stats;
    CREATE TABLE stats (
        dev INTEGER NOT NULL, ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
        ctime INTEGER NOT NULL, mode INTEGER NOT NULL, digest BLOB NOT NULL, xattrs BLOB NOT NULL,
        read INTEGER NOT NULL, PRIMARY KEY (ino, dev)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE compressed (
        diff_id TEXT NOT NULL, compression TEXT NOT NULL, level INTEGER NOT NULL,
        digest TEXT NOT NULL, size INTEGER NOT NULL, kept INTEGER NOT NULL, PRIMARY KEY (diff_id, compression, level)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE indexes (
        digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, size INTEGER NOT NULL, added REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE index_entries (
        manifest TEXT NOT NULL, index_digest TEXT NOT NULL, PRIMARY KEY (manifest, index_digest)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE elsewhere (
        digest TEXT NOT NULL, repository TEXT NOT NULL, seen REAL NOT NULL, PRIMARY KEY (digest, repository)
    ) WITHOUT ROWID;
    CREATE TABLE published (
        digest TEXT NOT NULL, repository TEXT NOT NULL, here TEXT NOT NULL, PRIMARY KEY (digest, repository)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE index_file (changes INTEGER NOT NULL, written INTEGER NOT NULL, state TEXT NOT NULL);
    INSERT INTO index_file VALUES (0, -1, '');
    CREATE INDEX refs_by_manifest ON refs (manifest);
    CREATE INDEX images_by_config ON images (config)
    """,
    """
    DROP TABLE stats;
    CREATE TABLE directories (path BLOB PRIMARY KEY, contents BLOB NOT NULL, used INTEGER NOT NULL);
    CREATE TABLE selections (
        fingerprint BLOB PRIMARY KEY, digest BLOB NOT NULL, read INTEGER NOT NULL, used INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE answers (
        asked BLOB PRIMARY KEY, at REAL NOT NULL, files BLOB NOT NULL, needs TEXT NOT NULL, blobs TEXT NOT NULL,
        state BLOB NOT NULL, shown TEXT NOT NULL, said TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE image_facts (manifest TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX published_by_image ON published (here)
    """,
    "ALTER TABLE answers ADD COLUMN proofs BLOB NOT NULL DEFAULT x''",
    """
    DROP INDEX records_by_place;
    CREATE INDEX records_by_line ON records (buildfile, stage, line, created);
    CREATE INDEX records_by_stage ON records (buildfile, stage, created);
    CREATE INDEX records_by_text ON records (
        buildfile, substr(name, instr(name, '] ') + 2 * (instr(name, '] ') > 0)), created, stage
    )
    """,
)
VERSION = len(_MIGRATIONS)
MEND = "pybuild cache verify --repair makes it anew from the blobs and what can be read of it"
_CODES = {
    errno.ENOSPC: "SQLITE_FULL",
    errno.EDQUOT: "SQLITE_FULL",
    errno.EROFS: "SQLITE_READONLY",
    errno.EIO: "SQLITE_IOERR",
}


# The last: SQLite tells of a damaged name.
_ERRORS = (sqlite3.Error, OSError, UnicodeDecodeError)


class Database:
    """One connection, used by one thread at a time."""

    def __init__(self, path: Path, begin: Callable[[], object] = lambda: None) -> None:
        """`begin` is called before the tables of a new file are made; what it raises prevents that."""
        self._path = path
        self._begin = begin
        self._lock = threading.RLock()
        with self._explained():
            self._connection = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA synchronous=NORMAL")
        self._migrate()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of a query."""
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except _ERRORS as error:  # as _explained says; this is called several times for each step
                raise self._error(error) from error

    def row(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first row of a query, or None."""
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchone()
            except _ERRORS as error:  # as above
                raise self._error(error) from error

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Change something; gives the number of rows changed."""
        with self._lock, self._explained():
            return self._connection.execute(sql, values).rowcount

    def execute_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """The same change for many values, in one transaction."""
        with self.transaction(), self._explained():
            self._connection.executemany(sql, values)

    def execute_optional(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """As execute_many, for what costs only time when it is lost: a full or read-only disk does not fail it."""
        with suppress(StoreError):
            self.execute_many(sql, values)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """All changes inside, or none. Other processes' writers wait meanwhile.

        `durable`: they outlive a power cut from then on, with all transactions before them.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            if durable:
                self.execute("PRAGMA synchronous=FULL")
            try:
                self.execute("BEGIN IMMEDIATE")
                yield
                with self._explained():
                    point("db:commit")
                self.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.rollback()
                raise
            finally:
                if durable:
                    self.execute("PRAGMA synchronous=NORMAL")
            point("db:committed")

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._connection.close()

    def _migrate(self) -> None:
        if self._version() == VERSION:
            return
        self._use_wal()
        with self.transaction():
            version = self._version()
            if version > VERSION:
                raise StoreError(
                    f"the store was written by a newer pybuild (its version is {version}, known are up to {VERSION})",
                    hint="update pybuild, or use another directory: --root DIR",
                )
            if not version:
                self._begin()
            for script in _MIGRATIONS[version:]:
                for statement in script.split(";"):
                    self.execute(statement)
            self.execute(f"PRAGMA user_version={VERSION}")

    def _use_wal(self) -> None:
        """Have the file use WAL; two that make it at once get no turns from SQLite: it does not wait for this."""
        until = time.monotonic() + _WAIT_SECONDS
        with self._explained():
            while True:
                try:
                    self._connection.execute("PRAGMA journal_mode=WAL")
                    return
                except sqlite3.OperationalError as error:
                    if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > until:
                        raise
                time.sleep(0.005)

    def _version(self) -> int:
        return int(self.row("PRAGMA user_version")[0])

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except _ERRORS as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error | OSError | UnicodeDecodeError) -> StoreError:
        root = self._path.parent
        code = getattr(error, "sqlite_errorname", "") or _CODES.get(getattr(error, "errno", 0), "")
        if code.startswith("SQLITE_FULL"):
            return StoreError(
                f"no space left for the store in {root}",
                hint="make room, or use another directory: --root DIR",
            )
        if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return StoreError(
                f"the store in {root} is read-only or may not be written by you",
                hint="use another directory: --root DIR",
            )
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "decode" in str(error) or "malformed" in str(error):
            return DamagedError(f"{self._path} is damaged: {error}", hint=MEND)
        if code.startswith("SQLITE_BUSY"):
            return StoreError(
                f"the store in {root} is busy: another process writes for over {_WAIT_SECONDS} s",
                hint="try again",
            )
        if code.startswith("SQLITE_IOERR"):
            return StoreError(
                f"the store's database cannot be read or written: {error}",
                hint="is the disk or your quota full, or the disk damaged? The kernel's log (dmesg) may tell",
            )
        return StoreError(f"the store's database failed: {error}")
