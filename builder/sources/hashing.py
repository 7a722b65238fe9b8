"""Files of a context that must be read: hashed by all processors at once.

Many files are shared out to children, as threads would take turns in Python for each of a file's system calls. Few that
are large are hashed by threads: they read and hash while others do.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest, file_sha256
from builder.errors import BadInputError
from builder.readied import readied
from builder.sources.attributes import attributes
from builder.sources.walk import STATE, Listed, packed
from builder.store.stats import Attributes

if TYPE_CHECKING:
    from builder.events import Meter

SHA = hashlib.sha256().digest_size
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# In bytes. From this size on a thread of its own pays.
_LARGE = 1 << 20
# So many files are worth a child: it takes 3 ms to make, and a small file 11 us.
_MANY = 2000
# What a file costs but for its content, as the bytes that could be hashed in that time.
_EACH = 10 << 10
# Whether no later change leaves a file that was read at a moment (ns) in the state of a status.
Settles = Callable[[os.stat_result, int], bool]
# Is told that so many bytes more were read.
Moved = Callable[[int], object]


class Content(Struct, frozen=True, array_like=True, gc=False):
    """What is known of one file: its STATE, sha256 and attributes; whether it is settled."""

    state: bytes
    digest: bytes
    xattrs: Attributes
    settled: bool


class Held:
    """What the files of a directory hold: states, digests and attributes, by the indexes of `Listed`.

    A state is that of the moment when the file was read. `unsettled` are files that may change without getting another;
    `read` is when the youngest of the others was read.
    """

    __slots__ = ("digests", "read", "states", "unsettled", "xattrs")

    def __init__(self, listed: Listed) -> None:
        self.states = bytearray(listed.states)
        self.digests = bytearray(SHA * len(listed.names))
        self.xattrs: dict[int, Attributes] = {}
        self.unsettled: set[int] = set()
        self.read = 0

    def state(self, index: int) -> bytes:
        """The STATE of a file."""
        return bytes(self.states[index * STATE.size : (index + 1) * STATE.size])

    def digest(self, index: int) -> Digest:
        """What is in it."""
        return Digest(self.digests[index * SHA : (index + 1) * SHA].hex())

    def put(self, index: int, state: bytes, digest: bytes, xattrs: Attributes, *, settled: bool) -> None:
        """Note what is known of a file. Several threads may, of one each."""
        self.states[index * STATE.size : (index + 1) * STATE.size] = state
        self.digests[index * SHA : (index + 1) * SHA] = digest
        if xattrs:
            self.xattrs[index] = xattrs
        if not settled:
            self.unsettled.add(index)

    def content(self, index: int) -> Content:
        """What is known of a file, to be `put` elsewhere."""
        digest = bytes(self.digests[index * SHA : (index + 1) * SHA])
        return Content(self.state(index), digest, self.xattrs.get(index, ()), index not in self.unsettled)


class Missing(Struct, frozen=True):
    """Files of a directory, by index, that must be read; what they hold is noted in `held`. `place` is its path."""

    place: str
    listed: Listed
    held: Held
    indexes: list[int]

    def sizes(self) -> list[tuple[int, int]]:
        """The size of each file, and its index."""
        return [(STATE.unpack(self.listed.state(index))[2], index) for index in self.indexes]


def read(missing: Sequence[Missing], settles: Settles, begin: Callable[[int], Meter] | None) -> int:
    """Reads them all; gives when the youngest was read. Raises BadInputError for what changes, and OSError.

    `begin` gives what is told how far it is, of so many bytes.
    """
    if begin is None or not missing:
        return _read(missing, settles, _unheard)
    meter = begin(_bytes(missing))
    try:
        return _read(missing, settles, meter.add)
    finally:
        meter.end()


def _bytes(missing: Sequence[Missing]) -> int:
    return sum(size for each in missing for size, _ in each.sizes())


def _read(missing: Sequence[Missing], settles: Settles, moved: Moved) -> int:
    processors = len(os.sched_getaffinity(0))
    if processors > 1 and sum(len(each.indexes) for each in missing) >= _MANY:
        return _in_children(missing, settles, processors, moved)
    large = [(size, replace(each, indexes=[at])) for each in missing for size, at in each.sizes() if size >= _LARGE]
    if processors < 2 or len(large) < 2:
        return _part(missing, settles, moved)
    # lazy: most contexts have no large files, or none that changed
    from builder.threads import each as in_threads

    # The largest first, so that none is left for the end alone.
    work = [[each] for _, each in sorted(large, key=itemgetter(0), reverse=True)]
    work.append([replace(each, indexes=[at for size, at in each.sizes() if size < _LARGE]) for each in missing])
    return max(in_threads(lambda part: _part(part, settles, moved), work, processors, lambda: None))


def _in_children(missing: Sequence[Missing], settles: Settles, most: int, moved: Moved) -> int:
    # lazy: as above
    from builder import forked

    here, moments, shares = os.getpid(), [0], _shares(missing, most)

    # All take about as long: while a part of the share that is read here is done, the same part of all of it is.
    whole, own = _bytes(missing), _bytes(shares[0]) or 1

    def work(share: Sequence[Missing]) -> bytes:
        is_here = os.getpid() == here
        moment = _part(share, settles, (lambda count: moved(count * whole // own)) if is_here else _unheard)
        found = [] if is_here else [[each.held.content(at) for at in each.indexes] for each in share]
        return msgspec.msgpack.encode((moment, found))

    for share, told in zip(shares, forked.each(work, shares), strict=True):
        moment, contents = _TOLD.decode(told)
        moments.append(moment)
        for each, found in zip(share, contents, strict=False):  # of what was read here there are none
            for index, content in zip(each.indexes, found, strict=True):
                each.held.put(index, content.state, content.digest, content.xattrs, settled=content.settled)
    return max(moments)


_TOLD = msgspec.msgpack.Decoder(readied(tuple[int, list[list[Content]]]))


def _shares(missing: Sequence[Missing], most: int) -> list[list[Missing]]:
    """The files in so many parts, in their order, that take about the same time."""
    fair = sum(size + _EACH for each in missing for size, _ in each.sizes()) / most
    shares, spent = [list[Missing]() for _ in range(most)], 0
    for each in missing:
        parts: dict[int, list[int]] = {}
        for size, index in each.sizes():
            parts.setdefault(min(int(spent / fair), most - 1), []).append(index)
            spent += size + _EACH
        for number, indexes in parts.items():
            shares[number].append(replace(each, indexes=indexes))
    return shares


def _unheard(count: int) -> None:
    """Nobody listens, as to a child."""


def _part(missing: Sequence[Missing], settles: Settles, moved: Moved) -> int:
    moment = 0
    for each in missing:
        directory = os.open(each.place, _DIRECTORY)
        try:
            for index in each.indexes:
                moment = max(moment, before := time.time_ns())
                status, digest, xattrs = _content(directory, each.listed.names[index], each.place, moved)
                each.held.put(index, packed(status), digest, xattrs, settled=settles(status, before))
        finally:
            os.close(directory)
    return moment


def _content(directory: int, name: str, place: str, moved: Moved) -> tuple[os.stat_result, bytes, Attributes]:
    """The status of a file, which is in the directory of that descriptor and place, and what it holds."""
    try:
        # A link or a FIFO may have taken its place: neither may be followed or waited for.
        fd = os.open(name, _FILE, dir_fd=directory)
    except OSError as error:
        error.filename = os.path.join(place, name)
        raise
    try:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise changed(os.path.join(place, name))
        xattrs = attributes(fd)
        if before.st_size < _LARGE:
            digest = file_sha256(fd, before.st_size)
            moved(before.st_size)
        else:
            digest = file_sha256(fd, before.st_size, moved)
        if packed(os.fstat(fd)) != packed(before):
            raise changed(os.path.join(place, name))
    finally:
        os.close(fd)
    return before, digest, xattrs


def changed(path: str) -> BadInputError:
    """That `path` changed while it was read, as an error."""
    return BadInputError(f"{path} changed while it was read", hint="build again when nothing writes to it")
