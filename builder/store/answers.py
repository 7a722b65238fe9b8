"""What whole builds came to, by what was asked: the same build asked again is one look-up.

An answer names all that its build depended on: files, records, layers, images, names. It holds as long as what is
behind these names is what it was then: that is read each time (`observed`), and its hash compared. So nothing has to
be told of answers: who changes or removes something else of the store, or a file, has done away with them.

This is the whole of a cached build, and imports what that needs: no parser of words, no JSON, no regular expression,
and so no Struct either; see docs/decisions/0030.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from collections.abc import Callable

from builder.store.stamp import stamp

# lazy: hashlib loads OpenSSL's library, which takes longer than all that is hashed here; CPython has this one, too
try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

# How many are kept: those that were used last.
KEPT = 100
# What stands for a directory among contents.
DIRECTORY = b""
_WAIT_SECONDS = 30
# As the log stays where nobody closes the database, and the next process reads it: so long it may become.
_LOG_PAGES = 100
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
# What is asked of the database: rows of (table, name, and two values that matter of it), for an answer's needs.
ROWS = """
SELECT 'record', key, diff_id, created FROM records WHERE key IN (SELECT value FROM json_each(?1, '$.records'))
UNION ALL
SELECT 'layer', diff_id, blob, blob_size FROM layers
    WHERE diff_id IN (SELECT value FROM json_each(?1, '$.layers'))
UNION ALL
SELECT 'image', manifest, config, size FROM images
    WHERE manifest IN (SELECT value FROM json_each(?1, '$.images'))
UNION ALL
SELECT 'name', name, manifest, 0 FROM refs WHERE name IN (SELECT value FROM json_each(?1, '$.names'))
UNION ALL
SELECT 'time', key, value, 0 FROM memo
    WHERE kind = 'created' AND key IN (SELECT value FROM json_each(?1, '$.times'))
UNION ALL
SELECT 'schema', '', user_version, 0 FROM pragma_user_version
"""
_TOUCHED = "UPDATE records SET last_used = ?, hits = hits + 1 WHERE key = ?"


class Answer:
    """What a build came to: `shown` is what was written about it, but for its seconds at the end; `said` the output.

    `connection` is that to the database it was found in. It stays open till the process ends: closing it would write
    the log back into the file, and wait for the disk.
    """

    __slots__ = ("connection", "said", "shown")

    def __init__(self, shown: str, said: str, connection: sqlite3.Connection | None = None) -> None:
        self.shown, self.said, self.connection = shown, said, connection


class Needs:
    """What an answer depends on, as it is stored.

    `files` are paths with NUL between them; `rows` a JSON object of names in tables: `records`, `layers`, `images`,
    `names` and `times`; `blobs` digests with spaces between them; `proofs` what shows that build contexts have not
    changed, empty where nothing was taken of any.
    """

    __slots__ = ("blobs", "files", "proofs", "rows")

    def __init__(self, files: bytes, rows: str, blobs: str, proofs: bytes = b"") -> None:
        self.files, self.rows, self.blobs, self.proofs = files, rows, blobs, proofs


def fingerprint(*parts: object) -> bytes:
    """The hash of numbers, bytes, strings, and tuples and lists of such."""
    return hashed(repr(parts).encode(errors="surrogateescape"))


def given(root: str, asked: bytes, hold: Callable[[bytes], bool]) -> Answer | None:
    """The answer to what is `asked` of the store at `root`, if it has one that holds; its records were used now.

    `hold` says whether proofs hold that there are of build contexts (sources/proven). Raises sqlite3.Error and OSError
    where it cannot be told.
    """
    path = f"{root}/pybuild.db"
    if not os.path.exists(path):
        return None
    # never a new file, were the store removed just now
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(f"file:{quoted}?mode=rw", uri=True, timeout=_WAIT_SECONDS, isolation_level=None)
    answer = None
    try:
        answer = _found(connection, root, asked, hold)
    finally:
        if answer is None:
            connection.close()
    return answer


def _found(connection: sqlite3.Connection, root: str, asked: bytes, hold: Callable[[bytes], bool]) -> Answer | None:
    row = connection.execute(
        "SELECT files, needs, blobs, answers.state, shown, said, proofs FROM answers, index_file"
        " WHERE asked = ? AND changes = written AND index_file.state = ?",  # or else index.json is to be written
        (asked, stamp(f"{root}/index.json")),
    ).fetchone()
    if row is None:
        return None
    needs = Needs(*row[:3])
    if observed(root, needs, connection.execute(ROWS, (needs.rows,)).fetchall()) != row[3]:
        return None
    if row[6] and not hold(row[6]):
        return None
    _use(connection, asked, needs.rows)
    return Answer(row[4], row[5], connection)


def observed(root: str, needs: Needs, rows: list[tuple[object, ...]]) -> bytes:
    """The hash of all that is behind names now, `rows` being what ROWS gives for them. Raises OSError."""
    sizes = [os.stat(f"{root}/blobs/sha256/{blob}").st_size for blob in needs.blobs.split()]
    return state(root, rows, sizes, [content(path) for path in needs.files.split(b"\0")])


def state(root: str, rows: list[tuple[object, ...]], sizes: list[int], contents: list[bytes | None]) -> bytes:
    """The hash of what is behind an answer's needs, in their order: rows in any, sizes of blobs, contents of files."""
    place = os.stat(root)
    return fingerprint(place.st_dev, place.st_ino, sorted(set(rows), key=repr), sizes, contents)


def content(path: bytes) -> bytes | None:
    """What is at `path`: the hash of a file's bytes; nothing in it for a directory, None where nothing is.

    Raises OSError for what cannot be read, and for what is neither: it may have other bytes the next time.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    try:
        kind = os.fstat(fd)
        if stat.S_ISDIR(kind.st_mode):
            return DIRECTORY
        if not stat.S_ISREG(kind.st_mode):
            raise OSError(errno.EINVAL, "no file", path)
        data = bytearray()
        while piece := os.read(fd, 1 << 20):
            data += piece
        return hashed(data)
    finally:
        os.close(fd)


def hashed(data: bytes | bytearray) -> bytes:
    """What stands for the bytes of a file."""
    return blake2b(data, digest_size=32).digest()


def _use(connection: sqlite3.Connection, asked: bytes, rows: str) -> None:
    """Note that an answer and its records were used. Costs only time when it is lost, so no disk is waited for.

    But where it cannot be noted no build is possible either, and that is for the build to tell: raises sqlite3.Error.
    """
    now = time.time()
    keys = connection.execute("SELECT value FROM json_each(?, '$.records')", (rows,)).fetchall()
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(_TOUCHED, [(now, key) for (key,) in keys])
    connection.execute("UPDATE answers SET at = ? WHERE asked = ?", (now, asked))
    connection.execute("COMMIT")
