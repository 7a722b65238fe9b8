"""User and group IDs: the subordinate ranges an ordinary user may map (subuid(5), newuidmap(1))."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from builder.errors import HostError

# Images use IDs up to 65534 (nobody).
_ENOUGH = 65536


class IdRange(Struct, frozen=True):
    """`count` consecutive IDs of the host from `start`."""

    start: int
    count: int


def in_user_namespace() -> bool:
    """Whether this process's user namespace is not the initial one: not all IDs are mapped to themselves."""
    text = Path("/proc/self/uid_map").read_text()
    return text.split() != ["0", "0", "4294967295"]


def mapped(kind: str) -> list[tuple[int, int]]:
    """First ID and count of the ranges (`kind`: uid or gid) that are mapped in this process's user namespace."""
    lines = Path(f"/proc/self/{kind}_map").read_text().splitlines()
    return [(int(first), int(count)) for first, _, count in (line.split() for line in lines)]


def subordinate(file: str, name: str, number: int) -> IdRange:
    """The largest range `file` (/etc/subuid or /etc/subgid) gives the user. Raises HostError when there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        lines = []
    ranges = []
    for line in lines:
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in (name, str(number)) and fields[1].isdigit() and fields[2].isdigit():
            ranges.append(IdRange(int(fields[1]), int(fields[2])))
    best = max(ranges, key=lambda r: r.count, default=None)
    if best is None or best.count < 1:
        option = "--add-subuids" if file.endswith("subuid") else "--add-subgids"
        raise HostError(
            f"{name} has no subordinate IDs in {file}",
            hint=f"run as root: usermod {option} 100000-{100000 + _ENOUGH - 1} {name}",
        )
    return best


def user_name(uid: int) -> str:
    """The name of a user of this machine; the number when it has none."""
    # lazy: ordinary users only
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def map_arguments(own: int, extra: IdRange) -> list[str]:
    """Arguments of newuidmap(1): 0 is `own`, 1 and up are `extra`."""
    return ["0", str(own), "1", "1", str(extra.start), str(min(extra.count, _ENOUGH))]


def map_own(uid: int, gid: int) -> None:
    """Map 0 to one's own `uid` and `gid` in the new user namespace this process is in (user_namespaces(7)).

    Raises OSError where even that is refused. setgroups(2) is denied from then on.
    """
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path(f"/proc/self/{file}").write_text(text)


def find_program(name: str) -> str | None:
    """`name` along PATH and where administrators' programs lie."""
    for directory in [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin", "/usr/bin"]:
        path = os.path.join(directory, name)
        if directory and os.access(path, os.X_OK):
            return path
    return None
