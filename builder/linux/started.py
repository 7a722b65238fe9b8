"""When this process began, finer than the kernel tells."""

from __future__ import annotations

import os
import time

# The 22nd field of proc_pid_stat(5), counted from the one that follows the name, which may have anything in it.
_STARTTIME = 22 - 3
_SECOND = 10**9


def process_began() -> int:
    """When this process was forked, in nanoseconds of CLOCK_MONOTONIC. Call it early, while there is one thread."""
    with open("/proc/self/stat", "rb") as stat:
        ticks = int(stat.read().rpartition(b") ")[2].split()[_STARTTIME])
    grain = _SECOND // os.sysconf("SC_CLK_TCK")
    now, asleep = time.monotonic_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return began(now, time.process_time_ns(), ticks * grain - asleep, grain)


def began(now: int, used: int, tick: int, grain: int) -> int:
    """The beginning of a process that has `used` so much of a processor until `now`, in nanoseconds.

    The kernel tells it to a tick: it was at `tick` or less than `grain` after it. And no later than what it has used
    allows, which is near where it did little else than load modules.
    """
    return max(tick, min(now - used, tick + grain))
