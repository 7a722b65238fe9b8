"""A container's log: what it printed, standard output and standard error kept apart, of bounded size.

    log.<n>   records: stream (1 byte), time (8, nanoseconds since the epoch), length (4), then the bytes

A file that is full is followed by the next, and then only these two are kept. The first record of a file says how
much was lost when it was begun.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

OUT, ERR, LOST = 1, 2, 3
# Twice as much is kept at most.
FILE_BYTES = 8 << 20
_HEAD = struct.Struct("!BQI")


class Record(Struct, frozen=True):
    """A piece of a stream and when it came; of LOST the data are how many bytes are gone, in decimal digits."""

    stream: int
    nanoseconds: int
    data: bytes


class Log:
    """Writes the log of the container in `directory`, after what is there."""

    def __init__(self, directory: Path, file_bytes: int = FILE_BYTES) -> None:
        self._directory, self._most = directory, file_bytes
        known = _numbers(directory)
        self._number = known[-1] if known else 0
        self._open()

    def write(self, stream: int, data: bytes) -> None:
        """Add what came on `stream`; a disk that is full loses it, and nothing else."""
        with suppress(OSError):
            if self._size + _HEAD.size + len(data) > self._most:
                self._turn()
            self._append(stream, data)

    def close(self) -> None:
        """No more comes."""
        os.close(self._fd)

    def _append(self, stream: int, data: bytes) -> None:
        record = _HEAD.pack(stream, time.time_ns(), len(data)) + data
        if os.write(self._fd, record) == len(record):
            self._size += len(record)
        else:
            os.ftruncate(self._fd, self._size)  # half a record would spoil all after it

    def _open(self) -> None:
        path = self._directory / f"log.{self._number}"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _turn(self) -> None:
        before = self._directory / f"log.{self._number - 1}"
        lost = _lost(before.with_name(f"log.{self._number}")) + _printed(before)
        os.close(self._fd)
        self._number += 1
        self._open()
        before.unlink(missing_ok=True)
        if lost:
            self._append(LOST, str(lost).encode())


class Reader:
    """Reads the log of the container in `directory`, also while it grows."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number, self._at = 0, 0

    def exists(self) -> bool:
        """Whether there is a log."""
        return bool(_numbers(self._directory))

    def more(self) -> Iterator[Record]:
        """What has come since the last call."""
        for number in _numbers(self._directory):
            if number < self._number:
                continue
            if number > self._number:
                self._number, self._at = number, 0
            try:
                with open(self._directory / f"log.{number}", "rb") as file:
                    file.seek(self._at)
                    data = file.read()
            except FileNotFoundError:
                continue  # too old by now
            for record in _parsed(data):
                self._at += _HEAD.size + len(record.data)
                yield record


def _parsed(data: bytes) -> Iterator[Record]:
    """The whole records at the beginning of `data`."""
    at = 0
    while at + _HEAD.size <= len(data):
        stream, nanoseconds, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if at + length > len(data):
            return
        yield Record(stream, nanoseconds, data[at : at + length])
        at += length


def _lost(path: Path) -> int:
    """How much was lost when the file `path` was begun."""
    return sum(int(record.data) for record in _whole(path) if record.stream == LOST)


def _printed(path: Path) -> int:
    return sum(len(record.data) for record in _whole(path) if record.stream != LOST)


def _whole(path: Path) -> Iterator[Record]:
    try:
        yield from _parsed(path.read_bytes())
    except FileNotFoundError:
        return


def _numbers(directory: Path) -> list[int]:
    return sorted(int(path.suffix[1:]) for path in directory.glob("log.[0-9]*"))
