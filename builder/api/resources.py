"""What a user says of limits, as `Resources`."""

from __future__ import annotations

import re

from builder.errors import UsageError, suggestion
from builder.lang.sizes import parse_size
from builder.sandbox.spec import Resources, Ulimit

# Docker's: below it not even the first process of a container would fit.
_LEAST_MEMORY = 6 << 20
ULIMITS = (
    "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
    "sigpending", "stack",
)  # fmt: skip


def resources(
    *,
    memory: str = "",
    memory_swap: str = "",
    cpus: str = "",
    cpu_shares: int = 0,
    cpu_period: int = 0,
    cpu_quota: int = 0,
    cpuset_cpus: str = "",
    cpuset_mems: str = "",
    pids_limit: int = 0,
    cgroup_parent: str = "",
    shm_size: str = "",
    ulimits: tuple[str, ...] = (),
    oom_score_adj: int | None = None,
) -> Resources:
    """Limits as Docker's options of the same names give them. Raises UsageError for what means nothing."""
    found = Resources(
        memory=_size(memory, "--memory"),
        memory_swap=-1 if memory_swap == "-1" else _size(memory_swap, "--memory-swap"),
        cpus=_cpus(cpus),
        cpu_shares=_within(cpu_shares, "--cpu-shares", 2, 262_144),
        cpu_period=_within(cpu_period, "--cpu-period", 1000, 1_000_000, "microseconds"),
        cpu_quota=0 if cpu_quota == -1 else _within(cpu_quota, "--cpu-quota", 1000, 1 << 60, "microseconds"),
        cpuset_cpus=_set(cpuset_cpus, "--cpuset-cpus"),
        cpuset_mems=_set(cpuset_mems, "--cpuset-mems"),
        pids=max(pids_limit, 0),
        parent=_parent(cgroup_parent),
        ulimits=tuple(map(_ulimit, ulimits)),
        shm_size=_size(shm_size, "--shm-size") or Resources().shm_size,
        oom_score_adj=oom_score_adj,
    )
    if 0 < found.memory < _LEAST_MEMORY:
        raise UsageError(f"--memory {memory} is too small", hint="the least is 6m")
    if found.memory_swap > 0 and not found.memory:
        raise UsageError("--memory-swap needs --memory: it is the sum of both")
    if 0 < found.memory_swap < found.memory:
        raise UsageError("--memory-swap is memory and swap together, so it cannot be less than --memory")
    if found.cpus and (found.cpu_period or found.cpu_quota):
        raise UsageError("--cpus is a quota of a period: it does not go together with --cpu-quota and --cpu-period")
    if oom_score_adj is not None and not -1000 <= oom_score_adj <= 1000:
        raise UsageError(f"--oom-score-adj {oom_score_adj} is not between -1000 and 1000")
    return found


def _size(text: str, option: str) -> int:
    if not text:
        return 0
    size = parse_size(text)
    if size is None:
        raise UsageError(f"{option} {text} is no size", hint="a number with b, k, m or g, such as 512m")
    return size


def _cpus(text: str) -> float:
    try:
        found = float(text or 0)
    except ValueError:
        found = -1
    if found != 0 and not 0.01 <= found < 1e6:
        raise UsageError(f"--cpus {text} is no number of processors", hint="a number such as 1.5, at least 0.01")
    return found


def _within(number: int, option: str, least: int, most: int, unit: str = "") -> int:
    """A figure the kernel takes; 0 is none."""
    if number and not least <= number <= most:
        raise UsageError(
            f"{option} {number} is not between {least} and {most}", hint=f"it is in {unit}" if unit else None
        )
    return number


def _set(text: str, option: str) -> str:
    """A list as in cpuset(7)."""
    if text and not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise UsageError(f"{option} {text} is no list of numbers", hint="such as 0-3 or 0,2")
    return text


def _parent(text: str) -> str:
    if ".." in text.split("/"):
        raise UsageError(f"--cgroup-parent {text} leads out of where it begins")
    return text


def _ulimit(text: str) -> Ulimit:
    name, equals, values = text.partition("=")
    soft, colon, hard = values.partition(":")
    numbers = [int(part) if part.lstrip("-").isdigit() else None for part in (soft, hard if colon else soft)]
    if name not in ULIMITS or not equals or None in numbers:
        hint = "such as nofile=1024:2048" if name in ULIMITS else suggestion(name, ULIMITS)
        raise UsageError(f"--ulimit {text} is not NAME=SOFT[:HARD]", hint=hint)
    least, most = (number or 0 for number in numbers)
    if least < -1 or most < -1 or (most != -1 and (least > most or least == -1)):
        raise UsageError(f"--ulimit {text}: the soft limit must not be above the hard one")
    return Ulimit(name, least, most)
