"""Content digests of files, remembered by their states so that what did not change is not read.

A remembered digest stands for a state only when a later change must have given the file another one:

    ctime + grain < when it was read <= now

Then any change after the reading has a later ctime: the kernel sets it, no program can. This is git's racy rule (its
technical/racy-git), by the moment before each file was read. A file touched as late as the clock's grain, one from the
future, and one that was read in what is the future after the clock was set back are read again, each time. So is
everything on file systems whose ctime is not this kernel's own.
"""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from builder.linux.filesystem import filesystem
from builder.sources.hashing import SHA, Held, Missing, read
from builder.sources.walk import STATE, Listed, Walk
from builder.store.stats import Contents, StatTable

if TYPE_CHECKING:
    from builder.events import Meter

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
# Device and inode are first in a STATE.
_INODE = 16
# So many files of a directory stay known that are not selected now, or as many as are.
_OTHERS = 256


def own_clock(walk: Walk) -> dict[int, bool]:
    """Whether a ctime says when a file was changed, for each device the files of `walk` lie on."""
    return {device: filesystem(path) in _OWN_CLOCK for device, path in walk.devices.items()}


def contents(
    table: StatTable, walk: Walk, begin: Callable[[int], Meter] | None = None, *, paranoid: bool = False
) -> dict[Listed, Held]:
    """What the files of `walk` hold, by directory. Only those are read that the table does not know, `paranoid` all.

    `begin` gives what is told how far that is. Raises BadInputError when a file changes while it is read, OSError for
    what cannot be read.
    """
    ours, now = own_clock(walk), time.time_ns()
    directories = [listed for source in walk.sources for listed in source.tree.directories()]
    places = {listed: _place(walk, listed) for listed in directories if len(listed.names) > len(listed.others)}
    known = {} if paranoid else table.directories(sorted(set(places.values())))
    # What was read in the future: the clock was set back since, and what happens now may get any time of before.
    known = {place: contents for place, contents in known.items() if contents.read <= now}
    result = {listed: Held(listed) for listed in places}
    missing: list[Missing] = []
    for listed, place in places.items():
        left = _take(listed, result[listed], known.get(place), ours)
        if left:
            missing.append(Missing(place, listed, result[listed], left))

    def settles(status: os.stat_result, before: int) -> bool:
        return ours.get(status.st_dev, False) and _settled(status.st_ctime_ns, before)

    moment = read(missing, settles, begin)
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
    if known is None or len(known.states) // STATE.size != len(known.digests) // SHA:
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
        digest = known.digests[position * SHA : (position + 1) * SHA]
        held.put(index, state, digest, known.xattrs.get(position, ()), settled=True)
    return left


def _merged(listed: Listed, held: Held, before: Contents | None) -> Contents:
    """What is known of a directory now. Other files may be known of it, which another selection takes: some stay."""
    settled = [index for index in listed.files if index not in held.unsettled]
    states = [held.state(index) for index in settled]
    digests = [held.digests[index * SHA : (index + 1) * SHA] for index in settled]
    xattrs = {at: held.xattrs[index] for at, index in enumerate(settled) if index in held.xattrs}
    if before is not None:
        inodes = {state[:_INODE] for state in states}
        most = len(states) + max(len(listed.files), _OTHERS)
        for position, state in enumerate(_states(before)):
            if len(states) < most and state[:_INODE] not in inodes:
                if position in before.xattrs:
                    xattrs[len(states)] = before.xattrs[position]
                states.append(state)
                digests.append(bytearray(before.digests[position * SHA : (position + 1) * SHA]))
    read = max(held.read, 0 if before is None else before.read)
    return Contents(b"".join(states), b"".join(digests), xattrs, read)


def _states(known: Contents) -> list[bytes]:
    return [known.states[at : at + STATE.size] for at in range(0, len(known.states), STATE.size)]


def _settled(ctime: int, moment: int) -> bool:
    grain = _COARSE_NS if ctime % 1_000_000_000 == 0 else _GRAIN_NS
    return ctime + grain < moment
