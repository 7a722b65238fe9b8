"""rpm's databases, read without rpm: the headers in SQLite, NDB and Berkeley DB files (rpm's lib/backend).

All are files of an image: whatever they say, reading ends, and stays within the file.
"""

from __future__ import annotations

import mmap
import sqlite3
import struct
import urllib.parse
from collections.abc import Iterator
from typing import IO

from builder.errors import BadInputError

# A header holds the names of the package's files: the largest there are have some megabytes.
_LARGEST_HEADER = 64 << 20
_MOST_STEPS = 200_000_000  # of SQLite's machine, seconds of work


def bounded(headers: Iterator[bytes], size: int) -> Iterator[bytes]:
    """`headers` as long as they fit in a file of `size` bytes: a crafted one gives the same bytes again and again."""
    for blob in headers:
        size -= len(blob)
        if size < 0:
            raise BadInputError("its headers overlap")
        yield blob


def sqlite_headers(path: str) -> Iterator[bytes]:
    """The headers of `rpmdb.sqlite`. Raises BadInputError."""
    url = f"file:{urllib.parse.quote(path)}?mode=ro&immutable=1"
    try:
        db = sqlite3.connect(url, uri=True)
        try:
            # What a schema may do when it is read is cut down, as SQLite advises for files of strangers.
            for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0"):
                db.execute(f"PRAGMA {pragma}")
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_HEADER)
            db.set_progress_handler(lambda: True, _MOST_STEPS)
            # Views and virtual tables, which would run code of the file's choice, have no page.
            kind = db.execute("SELECT type, rootpage > 0 FROM sqlite_master WHERE name = 'Packages'").fetchall()
            if kind != [("table", 1)]:
                raise BadInputError("it has no table of packages")
            for (blob,) in db.execute("SELECT blob FROM Packages ORDER BY hnum"):
                if not isinstance(blob, bytes):
                    raise BadInputError("it has a header that is none")
                yield blob
        finally:
            db.close()
    except sqlite3.Error as error:
        raise BadInputError(f"SQLite cannot read it: {error}") from error


_NDB_HEADER, _NDB_SLOT, _NDB_BLOB = b"RpmP", b"Slot", b"BlbS"
_NDB_PAGE, _NDB_BLOCK = 4096, 16


def ndb_headers(file: IO[bytes]) -> Iterator[bytes]:
    """The headers of `Packages.db` (lib/backend/ndb/rpmpkg.c): pages of slots, each naming a run of 16-byte blocks."""
    with _mapped(file) as data:
        if data[:4] != _NDB_HEADER or len(data) < 32:
            raise BadInputError("it is no NDB file")
        version, _, pages = struct.unpack_from("<III", data, 4)
        if version != 0:
            raise BadInputError(f"its version {version} is not known")
        end = pages * _NDB_PAGE
        if end > len(data):
            raise BadInputError("it is cut off")
        for at in range(32, end, 16):
            magic, number, offset, _ = struct.unpack_from("<4sIII", data, at)
            if magic != _NDB_SLOT:
                raise BadInputError("a slot of it is damaged")
            if offset:  # else it is free
                yield _ndb_blob(data, offset * _NDB_BLOCK, number)


def _ndb_blob(data: mmap.mmap, at: int, number: int) -> bytes:
    if at + 16 > len(data):
        raise BadInputError("it is cut off")
    magic, owner, _, length = struct.unpack_from("<4sIII", data, at)
    if magic != _NDB_BLOB or owner != number or length > _LARGEST_HEADER or at + 16 + length > len(data):
        raise BadInputError("a header of it is damaged")
    return data[at + 16 : at + 16 + length]


_BDB_HASH = 0x00061561
_BDB_HASH_PAGES, _BDB_OVERFLOW = (2, 13), 7
_BDB_KEY_DATA, _BDB_OFF_PAGE = 1, 3
_BDB_HEAD = 26


def bdb_headers(file: IO[bytes]) -> Iterator[bytes]:
    """The headers of `Packages` (Berkeley DB 4 and 5, dbinc/db_page.h): the data of a hash's pairs."""
    with _mapped(file) as data:
        if len(data) < 512:
            raise BadInputError("it is no Berkeley DB file")
        order = "<" if struct.unpack_from("<I", data, 12)[0] == _BDB_HASH else ">"
        magic, _, size = struct.unpack_from(f"{order}III", data, 12)
        if magic != _BDB_HASH or data[24]:
            raise BadInputError("it is no Berkeley DB file with a hash, or is encrypted")
        if not 512 <= size <= 65536 or size & (size - 1):
            raise BadInputError("its pages have a size that cannot be")
        pages = _Pages(data, order, size)
        for number in range(1, len(data) // size):
            yield from pages.headers(number)


class _Pages:
    """The pages of a Berkeley DB file."""

    def __init__(self, data: mmap.mmap, order: str, size: int) -> None:
        self._data, self._order, self._size = data, order, size

    def headers(self, number: int) -> Iterator[bytes]:
        """The data of each pair on a page of the hash; the key of all but the first pair is a package's number."""
        at = number * self._size
        entries, _, _, kind = struct.unpack_from(f"{self._order}HHBB", self._data, at + 20)
        if kind not in _BDB_HASH_PAGES:
            return
        if _BDB_HEAD + 2 * entries > self._size or entries % 2:
            raise BadInputError("a page of it is damaged")
        offsets = struct.unpack_from(f"{self._order}{entries}H", self._data, at + _BDB_HEAD)
        for index in range(1, entries, 2):
            end = offsets[index - 1]  # items lie from the end of the page towards its head
            if not _BDB_HEAD < offsets[index] < end <= self._size:
                raise BadInputError("a page of it is damaged")
            found = self._item(self._data[at + offsets[index] : at + end])
            if len(found) > 4:  # the first pair counts packages
                yield found

    def _item(self, item: bytes) -> bytes:
        if item[0] == _BDB_KEY_DATA:
            return item[1:]
        if item[0] != _BDB_OFF_PAGE or len(item) < 12:
            raise BadInputError("an item of it is of a kind that is not known")
        page, length = struct.unpack_from(f"{self._order}II", item, 4)
        if length > _LARGEST_HEADER:
            raise BadInputError("a header of it is damaged")
        parts = []
        while length > 0:
            part, page = self._overflow(page)
            if len(part) < min(length, self._size - _BDB_HEAD):  # all but the last are full: so even a ring ends soon
                raise BadInputError("a header of it is damaged")
            parts.append(part[:length])
            length -= len(part)
        return b"".join(parts)

    def _overflow(self, number: int) -> tuple[bytes, int]:
        at = number * self._size
        if not number or at + self._size > len(self._data):
            raise BadInputError("a header of it is cut off")
        following, _, length, _, kind = struct.unpack_from(f"{self._order}IHHBB", self._data, at + 16)
        if kind != _BDB_OVERFLOW or not 0 < length <= self._size - _BDB_HEAD:
            raise BadInputError("a header of it is damaged")
        return self._data[at + _BDB_HEAD : at + _BDB_HEAD + length], following


def _mapped(file: IO[bytes]) -> mmap.mmap:
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as error:  # of an empty file
        raise BadInputError("it is empty") from error
