"""Who a step runs as: USER looked up in the root's own /etc/passwd and /etc/group.

Rules: Dockerfile reference "USER"; runc's libcontainer/user for the numeric cases.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from builder.errors import NotFoundError

_LIMIT = 8 << 20
_LARGEST = 2**31 - 1
Read = Callable[[str, int], bytes | None]


class Identity(Struct, frozen=True):
    """IDs of a process, supplementary groups included, and the home directory (empty: unknown)."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = ""


def _lines(read: Read, path: str) -> list[list[str]]:
    data = read(path, _LIMIT) or b""
    return [line.split(":") for line in data.decode(errors="surrogateescape").split("\n") if line.strip()]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _LARGEST else None


def identity(user: str, read: Read) -> Identity:
    """The identity `user` (`name|uid[:group|gid]`, empty for root) means.

    `read(path, limit)` gives a file of the root, or None. A number needs no entry: its group is then 0.
    Raises NotFoundError for a name that has none.
    """
    name, colon, group = user.partition(":")
    passwd = [f for f in _lines(read, "/etc/passwd") if len(f) >= 7]
    number = _number(name) if name else 0
    entry = next((f for f in passwd if f[0] == name), None)
    if entry is None and number is not None:
        entry = next((f for f in passwd if f[2] == str(number)), None)
    if entry is None and number is None:
        raise NotFoundError(f"unable to find user {name}: no matching entry in passwd file")
    uid = number if entry is None else _number(entry[2])
    gid = 0 if entry is None else _number(entry[3])
    home = "" if entry is None else entry[5]
    known = [f for f in _lines(read, "/etc/group") if len(f) >= 4]
    groups: tuple[int, ...] = ()
    if colon and group:
        gid = group_id(group, known)
    elif entry is not None:
        members = [_number(f[2]) for f in known if entry[0] in f[3].split(",")]
        groups = tuple(g for g in members if g is not None)
    # The primary group is among them too, as in Docker: a process must not lose it by setgid (CVE-2022-36109).
    return Identity(uid or 0, gid or 0, tuple(dict.fromkeys((gid or 0, *groups))), home)


def group_id(group: str, known: list[list[str]]) -> int:
    """The ID of a group name or number. Raises NotFoundError for a name that has none."""
    for fields in known:
        if fields[0] == group:
            found = _number(fields[2])
            if found is not None:
                return found
    number = _number(group)
    if number is None:
        raise NotFoundError(f"unable to find group {group}: no matching entry in group file")
    return number


def owner(spec: str, read: Read) -> tuple[int, int]:
    """User and group IDs of a --chown: as `identity`, but a bare number is its own group (BuildKit)."""
    name, colon, group = spec.partition(":")
    if not name and group:
        name = "0"
    number = _number(name)
    if number is not None:
        uid, gid = number, number
    else:
        found = identity(name, read)
        uid, gid = found.uid, found.gid
    if colon and group:
        gid = group_id(group, [f for f in _lines(read, "/etc/group") if len(f) >= 4])
    return uid, gid
