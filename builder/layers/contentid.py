"""The content ID: what a layer is, leaving out when it was made (docs/decisions: time-free content ID).

sha256 over the entries sorted by path, each as one line of JSON-free fields separated by NUL. Two layers with the
same content ID give every later step the same files, so cache keys chain on it.
"""

from __future__ import annotations

import hashlib
import heapq
import os
import struct
from collections.abc import Iterable, Iterator

from builder.digest import Digest
from builder.layers.entry import Entry, Kind

# Lines are held up to so many bytes, as Python holds them; more are put into a file, sorted.
_MOST_HELD = 24 << 20
_OVERHEAD = 400
_LENGTHS = struct.Struct("<II?")
_BLOCK = 64 << 10

# Path, and whether it is the mark of an opaque directory, which is kept beside that.
_Key = tuple[bytes, bool]


class ContentId:
    """Finds the content ID of entries that come in any order, in bounded memory however many they are.

    Of several entries for one path the last counts, as when a tar is unpacked; OPAQUE is kept beside its directory.
    What does not fit goes into nameless files in `directory`, None for the usual place.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory
        self._last: dict[_Key, bytes] = {}
        self._held = 0
        self._runs: list[_Run] = []

    def add(self, entry: Entry) -> None:
        """One more entry; files have their digests."""
        path = os.fsencode(entry.path)
        line = _line(entry, path)
        self._last[path, entry.kind is Kind.OPAQUE] = line
        self._held += len(path) + len(line) + _OVERHEAD
        if self._held > _MOST_HELD:
            self._runs.append(_Run(sorted(self._last.items()), self._directory))
            self._last, self._held = {}, 0

    def digest(self) -> Digest:
        """The content ID of all that was added."""
        state = hashlib.sha256(b"pybuild content 1\n")
        for _, line in self._sorted():
            state.update(line)
        return Digest(state.hexdigest())

    def _sorted(self) -> Iterator[tuple[_Key, bytes]]:
        rest = sorted(self._last.items())
        if not self._runs:
            yield from rest
            return
        # Of one key that of the latest run comes first.
        runs: list[Iterable[tuple[_Key, bytes]]] = [rest, *reversed(self._runs)]
        before: _Key | None = None
        for key, line in heapq.merge(*runs, key=lambda item: item[0]):
            if key != before:
                yield key, line
            before = key


class _Run:
    """Lines in order, in a nameless file, which goes with the object."""

    def __init__(self, items: Iterable[tuple[_Key, bytes]], directory: str | None) -> None:
        # lazy: only what is large needs it
        import tempfile

        self._fd = -1
        with tempfile.TemporaryFile(dir=directory, buffering=_BLOCK) as file:
            for (path, opaque), line in items:
                file.write(_LENGTHS.pack(len(path), len(line), opaque) + path + line)
            file.flush()
            self._fd = os.dup(file.fileno())

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def __iter__(self) -> Iterator[tuple[_Key, bytes]]:
        with open(self._fd, "rb", buffering=_BLOCK, closefd=False) as file:
            file.seek(0)
            while head := file.read(_LENGTHS.size):
                path, line, opaque = _LENGTHS.unpack(head)
                yield (file.read(path), opaque), file.read(line)


def content_id(entries: Iterable[Entry]) -> Digest:
    """The content ID of a layer's entries, given in any order; see ContentId."""
    found = ContentId()
    for entry in entries:
        found.add(entry)
    return found.digest()


def _line(entry: Entry, path: bytes) -> bytes:
    # A path or link cannot contain NUL, and the fields before the attributes have a fixed number. One format for all
    # of a line, as it is made for each file of a layer.
    digest = entry.digest.hex if entry.digest else ""
    rest = (
        f"\0{entry.kind}\0{entry.mode:o} {entry.uid} {entry.gid} {entry.size}\0{digest}\0{entry.link}"
        f"\0{entry.device[0]}:{entry.device[1]}\0"
    )
    if not entry.xattrs:
        return path + os.fsencode(rest) + b"\n"
    attributes = [b"%d %s=%d %s" % (len(name), os.fsencode(name), len(value), value) for name, value in entry.xattrs]
    return path + os.fsencode(rest) + b"".join(attributes) + b"\n"
