"""What a cached layer is worth keeping for, and which ones go first. Pure.

After GDSF (Cherkasova, "Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy", 1998): the
worth of an object is its frequency times its cost over its size, and it ages. There ageing is a clock that the cache
keeps; here it is time itself, so that worth follows from what is recorded and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import Struct

from builder.digest import Digest

# An unused layer is worth half as much a week later: what costs a hundred times as much is kept six weeks longer.
HALF_LIFE = 7 * 86400.0
# What running any step costs beside its command, in seconds.
_OVERHEAD = 0.05
_JUST_NOW = 3600.0
_LEAST_WORTH = 1e-300
# What a layer takes at least: blob, directory, rows.
_LEAST_BYTES = 16 << 10


class Candidate(Struct, frozen=True):
    """A layer that only cache records keep, and its records by key.

    `bytes` it takes on the disk; `seconds` it costs to make again; `last_used` in seconds since the epoch; `hits`.
    """

    diff_id: Digest
    keys: tuple[Digest, ...]
    bytes: int
    seconds: float
    last_used: float
    hits: int = 0


def worth(candidate: Candidate, now: float) -> float:
    """Seconds of work that a byte of it is likely to save.

    What was last used in the future, by a clock that was wrong, is as old as that is far away.
    """
    age = abs(now - candidate.last_used)
    frequency = 1 + math.log2(1 + max(0, candidate.hits))
    cost = max(0.0, candidate.seconds) + _OVERHEAD
    return frequency * cost / max(candidate.bytes, _LEAST_BYTES) * math.exp2(-age / HALF_LIFE)


def rank(candidate: Candidate, now: float) -> tuple[bool, int, float, Digest]:
    """The less, the earlier it goes: by worth, of about the same worth the one that was not used longest.

    What was used just now goes last: the build that used it is likely to come again.
    """
    age = abs(now - candidate.last_used)
    return age < _JUST_NOW, math.frexp(max(worth(candidate, now), _LEAST_WORTH))[1], -age, candidate.diff_id


def evicted(candidates: Iterable[Candidate], most: int, now: float, idle: float | None = None) -> list[Candidate]:
    """Those that must go so that the others take at most `most` bytes, the least worth first.

    Before them all that were not used for `idle` seconds, whether there is room or not.
    """
    ranked = sorted(candidates, key=lambda c: rank(c, now))
    gone = [c for c in ranked if idle is not None and abs(now - c.last_used) >= idle]
    staying = [c for c in ranked if idle is None or abs(now - c.last_used) < idle]
    left = sum(c.bytes for c in staying)
    for candidate in staying:
        if left <= most:
            break
        gone.append(candidate)
        left -= candidate.bytes
    return gone
