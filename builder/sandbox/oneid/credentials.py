"""The IDs a process believes to have, and how calls change them: credentials(7), setresuid(2) and its family. Pure.

Of capabilities there is one, `privileged`, for CAP_SETUID, CAP_SETGID, CAP_CHOWN and CAP_MKNOD.
"""

from __future__ import annotations

import errno
import os

from msgspec import Struct
from msgspec.structs import replace

# How calls say "as it is": (uid_t) -1.
UNCHANGED = 0xFFFFFFFF
_MOST_GROUPS = 65536


class Ids(Struct, frozen=True):
    """Real, effective, saved and file system ID, of the user or of the group."""

    real: int = 0
    effective: int = 0
    saved: int = 0
    files: int = 0


class Credentials(Struct, frozen=True):
    """What a process believes to be; the beginning is root without further groups.

    `privileged`: it may do what only root may. `keeps`: it stays so when it gives its user away (PR_SET_KEEPCAPS).
    """

    user: Ids = Ids()
    group: Ids = Ids()
    groups: tuple[int, ...] = ()
    privileged: bool = True
    keeps: bool = False

    def in_group(self, gid: int) -> bool:
        """Whether it is a member, for files."""
        return gid == self.group.files or gid in self.groups


def _refuse(allowed: bool, number: int = errno.EPERM) -> None:
    if not allowed:
        raise OSError(number, os.strerror(number))


def set_one(ids: Ids, value: int, privileged: bool) -> Ids:
    """setuid(2), setgid(2). Raises OSError (EPERM, EINVAL), as all of these do."""
    _refuse(value != UNCHANGED, errno.EINVAL)
    if privileged:
        return Ids(value, value, value, value)
    _refuse(value in (ids.real, ids.saved))
    return replace(ids, effective=value, files=value)


def set_two(ids: Ids, real: int, effective: int, privileged: bool) -> Ids:
    """setreuid(2), setregid(2)."""
    _refuse(privileged or real in (UNCHANGED, ids.real, ids.effective))
    _refuse(privileged or effective in (UNCHANGED, ids.real, ids.effective, ids.saved))
    after = ids.effective if effective == UNCHANGED else effective
    saved = after if real != UNCHANGED or effective not in (UNCHANGED, ids.real) else ids.saved
    return Ids(ids.real if real == UNCHANGED else real, after, saved, after)


def set_three(ids: Ids, real: int, effective: int, saved: int, privileged: bool) -> Ids:
    """setresuid(2), setresgid(2)."""
    own = (UNCHANGED, ids.real, ids.effective, ids.saved)
    _refuse(privileged or all(value in own for value in (real, effective, saved)))
    after = ids.effective if effective == UNCHANGED else effective
    return Ids(
        ids.real if real == UNCHANGED else real,
        after,
        ids.saved if saved == UNCHANGED else saved,
        after,
    )


def set_files(ids: Ids, value: int, privileged: bool) -> Ids:
    """setfsuid(2), setfsgid(2), which never fail."""
    allowed = privileged or value in (ids.real, ids.effective, ids.saved, ids.files)
    return replace(ids, files=value) if allowed and value != UNCHANGED else ids


def with_user(who: Credentials, user: Ids) -> Credentials:
    """A process after its user IDs changed: an effective user of 0 is privileged (capabilities(7))."""
    return replace(who, user=user, privileged=user.effective == 0 or (who.privileged and who.keeps))


def set_groups(who: Credentials, groups: tuple[int, ...]) -> Credentials:
    """setgroups(2)."""
    _refuse(who.privileged)
    _refuse(len(groups) <= _MOST_GROUPS and UNCHANGED not in groups, errno.EINVAL)
    return replace(who, groups=groups)


def executed(who: Credentials, mode: int, owner: tuple[int, int]) -> Credentials:
    """execve(2) of a file: its setuid and setgid bits, and the saved IDs."""
    user, group = who.user, who.group
    effective = owner[0] if mode & 0o4000 else user.effective
    user = Ids(user.real, effective, effective, effective)
    effective = owner[1] if mode & 0o2010 == 0o2010 else group.effective
    return Credentials(user, Ids(group.real, effective, effective, effective), who.groups, user.effective == 0)


def new_owner(who: Credentials, before: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """chown(2): the owner a file gets. Raises OSError (EPERM)."""
    uid = before[0] if wanted[0] == UNCHANGED else wanted[0]
    gid = before[1] if wanted[1] == UNCHANGED else wanted[1]
    if not who.privileged:
        own = who.user.files == before[0]
        _refuse(wanted[0] == UNCHANGED or (own and uid == before[0]))
        _refuse(wanted[1] == UNCHANGED or (own and (gid == before[1] or who.in_group(gid))))
    return uid, gid


class Table:
    """Credentials by small numbers, which a process carries with it (see processes.py). 0 is `beginning`."""

    def __init__(self, beginning: Credentials) -> None:
        self._all = [beginning]
        self._numbers = {self._all[0]: 0}

    def number(self, who: Credentials) -> int:
        """The number of `who`."""
        found = self._numbers.get(who)
        if found is None:
            found = self._numbers[who] = len(self._all)
            self._all.append(who)
        return found

    def get(self, number: int) -> Credentials:
        """What `number` stands for; the beginning for one that was not given."""
        return self._all[number] if 0 <= number < len(self._all) else self._all[0]
