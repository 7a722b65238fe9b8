"""Content digests of files, remembered by their states so that what did not change is not read.

A remembered digest stands for a state only when a later change must have given the file another one:

    ctime + grain < when it was read <= now

Then any change after the reading has a later ctime: the kernel sets it, no program can. This is git's racy rule (its
technical/racy-git), by the moment before each file was read. A file touched as late as the clock's grain, one from the
future, and one that was read in what is the future after the clock was set back are read again, each time. So is
everything on file systems whose ctime is not this kernel's own.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
import time
from collections.abc import Mapping
from operator import itemgetter

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest, file_sha256
from builder.errors import BadInputError
from builder.linux.filesystem import filesystem
from builder.sources.attributes import attributes
from builder.sources.walk import STATE, Listed, Walk, packed
from builder.store.stats import Attributes, Contents, StatTable

# The kernel's coarse clock moves in ticks of up to 10 ms (CONFIG_HZ=100).
_GRAIN_NS = 20_000_000
# File systems with whole seconds (ext3, small inodes of ext4), and their ctime ends in zeros.
_COARSE_NS = 2_000_000_000 + _GRAIN_NS
# Here the kernel sets ctime by its own clock. Not so on network file systems (a server's clock, attributes out of a
# cache), FUSE, 9p (whatever a program says: sshfs gives mtime for ctime, which anyone can set), FAT (no ctime) and
# images (squashfs, erofs, iso9660: what the image says, and another one may be mounted there).
_OWN_CLOCK = frozenset(
    ("ext2", "ext3", "ext4", "xfs", "btrfs", "bcachefs", "f2fs", "zfs", "jfs", "tmpfs", "ramfs", "rootfs", "overlay")
)
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Device and inode are first in a STATE.
_INODE = 16
# So many files of a directory stay known that are not selected now, or as many as are.
_OTHERS = 256
_SHA = hashlib.sha256().digest_size
# In bytes. From this size on a thread of its own pays.
_LARGE = 1 << 20


class Held:
    """What the files of a directory hold: states, digests and attributes, by the indexes of `Listed`.

    A state is that of the moment when the file was read. `unsettled` are files that may change without getting another;
    `read` is when the youngest of the others was read.
    """

    __slots__ = ("digests", "read", "states", "unsettled", "xattrs")

    def __init__(self, listed: Listed) -> None:
        self.states = bytearray(listed.states)
        self.digests = bytearray(_SHA * len(listed.names))
        self.xattrs: dict[int, Attributes] = {}
        self.unsettled: set[int] = set()
        self.read = 0

    def state(self, index: int) -> bytes:
        """The STATE of a file."""
        return bytes(self.states[index * STATE.size : (index + 1) * STATE.size])

    def digest(self, index: int) -> Digest:
        """What is in it."""
        return Digest(self.digests[index * _SHA : (index + 1) * _SHA].hex())

    def put(self, index: int, state: bytes, digest: bytes, xattrs: Attributes, *, settled: bool) -> None:
        """Note what is known of a file. Several threads may, of one each."""
        self.states[index * STATE.size : (index + 1) * STATE.size] = state
        self.digests[index * _SHA : (index + 1) * _SHA] = digest
        if xattrs:
            self.xattrs[index] = xattrs
        if not settled:
            self.unsettled.add(index)


def own_clock(walk: Walk) -> dict[int, bool]:
    """Whether a ctime says when a file was changed, for each device the files of `walk` lie on."""
    return {device: filesystem(path) in _OWN_CLOCK for device, path in walk.devices.items()}


def contents(table: StatTable, walk: Walk, *, paranoid: bool = False) -> dict[Listed, Held]:
    """What the files of `walk` hold, by directory. Only those are read that the table does not know, `paranoid` all.

    Raises BadInputError when a file changes while it is read, OSError for what cannot be read.
    """
    ours, now = own_clock(walk), time.time_ns()
    directories = [listed for source in walk.sources for listed in source.tree.directories()]
    places = {listed: _place(walk, listed) for listed in directories if len(listed.names) > len(listed.others)}
    known = {} if paranoid else table.directories(sorted(set(places.values())))
    # What was read in the future: the clock was set back since, and what happens now may get any time of before.
    known = {place: contents for place, contents in known.items() if contents.read <= now}
    result = {listed: Held(listed) for listed in places}
    missing: list[_Missing] = []
    for listed, place in places.items():
        left = _take(listed, result[listed], known.get(place), ours)
        if left:
            missing.append(_Missing(place, listed, result[listed], left))
    moment = _read(missing, ours)
    for each in missing:
        each.held.read = max(each.held.read, moment)
    fresh: dict[str, Contents] = {}
    for each in missing:
        fresh[each.place] = _merged(each.listed, each.held, fresh.get(each.place) or known.get(each.place))
    table.remember(fresh.items())
    return result


def read_last(walk: Walk, held: Mapping[Listed, Held]) -> int | None:
    """When the youngest file was read, if every file has the state that `walk` found, and is settled; else None."""
    if any(each.unsettled or each.states != listed.states for listed, each in held.items()):
        return None
    return max((each.read for each in held.values()), default=0)


# --- what is known -------------------------------------------------------------------------------


def _place(walk: Walk, listed: Listed) -> str:
    return posixpath.join(walk.root, listed.path) if listed.path else walk.root


def _take(listed: Listed, held: Held, known: Contents | None, ours: Mapping[int, bool]) -> list[int]:
    """Notes what is known of the files of a directory; gives the indexes of those of which nothing is."""
    if known is None or len(known.states) // STATE.size != len(known.digests) // _SHA:
        return listed.files
    if not listed.others and listed.states == known.states and all(ours.values()):
        held.digests[:], held.xattrs, held.read = known.digests, known.xattrs, known.read
        return []
    positions = {state: position for position, state in enumerate(_states(known))}
    left, held.read = [], known.read
    for index in listed.files:
        state = listed.state(index)
        position = positions.get(state)
        if position is None or not ours[STATE.unpack(state)[0]]:
            left.append(index)
            continue
        digest = known.digests[position * _SHA : (position + 1) * _SHA]
        held.put(index, state, digest, known.xattrs.get(position, ()), settled=True)
    return left


def _merged(listed: Listed, held: Held, before: Contents | None) -> Contents:
    """What is known of a directory now. Other files may be known of it, which another selection takes: some stay."""
    settled = [index for index in listed.files if index not in held.unsettled]
    states = [held.state(index) for index in settled]
    digests = [held.digests[index * _SHA : (index + 1) * _SHA] for index in settled]
    xattrs = {at: held.xattrs[index] for at, index in enumerate(settled) if index in held.xattrs}
    if before is not None:
        inodes = {state[:_INODE] for state in states}
        most = len(states) + max(len(listed.files), _OTHERS)
        for position, state in enumerate(_states(before)):
            if len(states) < most and state[:_INODE] not in inodes:
                if position in before.xattrs:
                    xattrs[len(states)] = before.xattrs[position]
                states.append(state)
                digests.append(bytearray(before.digests[position * _SHA : (position + 1) * _SHA]))
    read = max(held.read, 0 if before is None else before.read)
    return Contents(b"".join(states), b"".join(digests), xattrs, read)


def _states(known: Contents) -> list[bytes]:
    return [known.states[at : at + STATE.size] for at in range(0, len(known.states), STATE.size)]


# --- reading -------------------------------------------------------------------------------------


class _Missing(Struct, frozen=True):
    """Files of a directory, by index, that must be read; what they hold is noted in `held`."""

    place: str
    listed: Listed
    held: Held
    indexes: list[int]


def _read(missing: list[_Missing], ours: Mapping[int, bool]) -> int:
    """Reads them all: large files side by side, as many as there are processors, and beside them the small ones.

    Of those reading takes less than what threads cost to take turns in Python. Gives when the youngest was read.
    """
    small, large = list[_Missing](), list[tuple[int, _Missing]]()
    for each in missing:
        sizes = {index: STATE.unpack(each.listed.state(index))[2] for index in each.indexes}
        small.append(replace(each, indexes=[index for index in each.indexes if sizes[index] < _LARGE]))
        large += ((sizes[at], replace(each, indexes=[at])) for at in each.indexes if sizes[at] >= _LARGE)
    # The largest first, so that none is left for the end alone.
    work = [[each] for _, each in sorted(large, key=itemgetter(0), reverse=True)]
    work += [small] if any(each.indexes for each in small) else []
    if len(work) < 2:
        return max((_part(part, ours) for part in work), default=0)
    # lazy: most contexts have no large files, or none that changed
    from builder.threads import each as in_threads

    return max(in_threads(lambda part: _part(part, ours), work, len(os.sched_getaffinity(0)), lambda: None))


def _part(missing: list[_Missing], ours: Mapping[int, bool]) -> int:
    moment = 0
    for each in missing:
        directory = os.open(each.place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for index in each.indexes:
                moment = max(moment, before := time.time_ns())
                status, digest, xattrs = _content(directory, each.listed.names[index], each.place)
                settled = ours.get(status.st_dev, False) and _settled(status.st_ctime_ns, before)
                each.held.put(index, packed(status), digest, xattrs, settled=settled)
        finally:
            os.close(directory)
    return moment


def _content(directory: int, name: str, place: str) -> tuple[os.stat_result, bytes, Attributes]:
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
        digest = file_sha256(fd, before.st_size)
        if packed(os.fstat(fd)) != packed(before):
            raise changed(os.path.join(place, name))
    finally:
        os.close(fd)
    return before, digest, xattrs


def _settled(ctime: int, moment: int) -> bool:
    grain = _COARSE_NS if ctime % 1_000_000_000 == 0 else _GRAIN_NS
    return ctime + grain < moment


def changed(path: str) -> BadInputError:
    """That `path` changed while it was read, as an error."""
    return BadInputError(f"{path} changed while it was read", hint="build again when nothing writes to it")
