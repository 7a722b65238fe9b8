"""A tree made of packs (packs.py), which are trusted as little as any archive; and of what is there of it already."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence

from builder.digest import Reader
from builder.errors import BadInputError
from builder.layers.entry import Entry, Kind
from builder.layers.extract import Extraction
from builder.layers.packs import Run
from builder.layers.tarread import Data, read_entries

# The bytes of the pack of a number.
Fetch = Callable[[int], bytes]


class _Nothing:
    def read(self, size: int = -1, /) -> bytes:
        return b""


class _Row:
    """Packs in a row, read as one."""

    def __init__(self, numbers: Iterator[int], fetch: Fetch) -> None:
        self._numbers, self._fetch = numbers, fetch
        self._data, self._at = b"", 0

    def read(self, size: int = -1, /) -> bytes:
        while self._at == len(self._data):
            number = next(self._numbers, None)
            if number is None:
                return b""
            self._data, self._at = self._fetch(number), 0
        end = len(self._data) if size < 0 else min(self._at + size, len(self._data))
        data = self._data[self._at : end]
        self._at = end
        return data


def restore(directory: str, parts: Sequence[Run | int], fetch: Fetch, there: str) -> None:
    """Make the tree that `parts` (as packs.missing gives them) are of in `directory`, over what is in it.

    What runs tell of is in the tree `there`, and its files become the same inodes; packs of numbers are what `fetch`
    gives. Raises BadInputError for what is no clean pack.
    """
    extraction = Extraction(directory)
    top: list[Entry] = []
    try:
        for known, group in itertools.groupby(parts, lambda part: isinstance(part, Run)):
            if known:
                for run in group:
                    assert isinstance(run, Run)
                    _take(extraction, run.entries, there, top)
            else:
                _unpack(extraction, _Row((part for part in group if isinstance(part, int)), fetch), top)
        extraction.finish()
    finally:
        extraction.close()
    for entry in top[-1:]:
        whole = entry.mtime * 1_000_000_000 + entry.nanoseconds
        os.utime(directory, ns=(whole, whole))


def _unpack(extraction: Extraction, tar: Reader, top: list[Entry]) -> None:
    for entry, data in read_entries(tar, whiteouts=False):
        if entry.kind in (Kind.CHAR, Kind.BLOCK):
            raise BadInputError(f"{entry.path!r} of the archive is a device, which no cache mount has")
        if not entry.path:
            top.append(entry)
        extraction.put(entry, data)


def _take(extraction: Extraction, entries: Sequence[Entry], there: str, top: list[Entry]) -> None:
    for entry in entries:
        if entry.kind is Kind.FILE:
            extraction.take(entry, f"{there}/{entry.path}")
            continue
        if not entry.path:
            top.append(entry)
        extraction.put(entry, Data(_Nothing(), 0, entry.path))
