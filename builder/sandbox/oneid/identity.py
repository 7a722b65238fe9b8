"""Answers to calls that ask for or change the IDs of a process."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable

from msgspec.structs import replace

from builder.linux.notify import Notification, read_memory, write_memory
from builder.sandbox.oneid import credentials
from builder.sandbox.oneid.credentials import UNCHANGED, Credentials, Ids, Table
from builder.sandbox.oneid.processes import believe, believed

Answer = Callable[[Notification], int]
Change = Callable[[Ids, tuple[int, ...], bool], Ids]
_PIECE = 4096
# PR_SET_KEEPCAPS
KEEP_CAPABILITIES = 8


class Identity:
    """The handlers, by the names of their calls; each gives the call's value or raises OSError."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def handlers(self) -> dict[str, Answer]:
        """All of them."""
        one, two, three = credentials.set_one, credentials.set_two, credentials.set_three
        return {
            "getuid": lambda call: self._who(call).user.real,
            "geteuid": lambda call: self._who(call).user.effective,
            "getgid": lambda call: self._who(call).group.real,
            "getegid": lambda call: self._who(call).group.effective,
            "getresuid": lambda call: _tell(call, self._who(call).user),
            "getresgid": lambda call: _tell(call, self._who(call).group),
            "setuid": self._user(lambda ids, given, may: one(ids, given[0], may)),
            "setgid": self._group(lambda ids, given, may: one(ids, given[0], may)),
            "setreuid": self._user(lambda ids, given, may: two(ids, given[0], given[1], may)),
            "setregid": self._group(lambda ids, given, may: two(ids, given[0], given[1], may)),
            "setresuid": self._user(lambda ids, given, may: three(ids, given[0], given[1], given[2], may)),
            "setresgid": self._group(lambda ids, given, may: three(ids, given[0], given[1], given[2], may)),
            "setfsuid": self._set_files_user,
            "setfsgid": self._set_files_group,
            "getgroups": self._get_groups,
            "setgroups": self._set_groups,
            "prctl": self._keep_capabilities,
            "getrlimit": lambda call: _tell_no_limit(call, 1),
            "setrlimit": lambda call: 0,
            "prlimit64": lambda call: _tell_no_limit(call, 3) if call.arguments[3] else 0,
        }

    def _who(self, call: Notification) -> Credentials:
        return believed(call.thread, self._table)

    def _become(self, call: Notification, before: Credentials, after: Credentials) -> None:
        if after != before:
            believe(call.thread, after, self._table)

    def _user(self, change: Change) -> Answer:
        def answer(call: Notification) -> int:
            who = self._who(call)
            self._become(call, who, credentials.with_user(who, change(who.user, _numbers(call), who.privileged)))
            return 0

        return answer

    def _group(self, change: Change) -> Answer:
        def answer(call: Notification) -> int:
            who = self._who(call)
            self._become(call, who, replace(who, group=change(who.group, _numbers(call), who.privileged)))
            return 0

        return answer

    def _set_files_user(self, call: Notification) -> int:
        who = self._who(call)
        changed = credentials.set_files(who.user, _numbers(call)[0], who.privileged)
        self._become(call, who, replace(who, user=changed))
        return who.user.files

    def _set_files_group(self, call: Notification) -> int:
        who = self._who(call)
        changed = credentials.set_files(who.group, _numbers(call)[0], who.privileged)
        self._become(call, who, replace(who, group=changed))
        return who.group.files

    def _keep_capabilities(self, call: Notification) -> int:
        who = self._who(call)
        self._become(call, who, replace(who, keeps=bool(call.arguments[1])))
        return 0

    def _get_groups(self, call: Notification) -> int:
        groups = self._who(call).groups
        size = _numbers(call)[0]
        if size:
            if size < len(groups) or size > UNCHANGED >> 1:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            data = struct.pack(f"={len(groups)}I", *groups)
            for at in range(0, len(data), _PIECE):
                write_memory(call.thread, call.arguments[1] + at, data[at : at + _PIECE])
        return len(groups)

    def _set_groups(self, call: Notification) -> int:
        who = self._who(call)
        size = _numbers(call)[0]
        credentials.set_groups(who, (0,) * min(size, 1 << 17))  # refused before memory is read
        data = b"".join(
            read_memory(call.thread, call.arguments[1] + at, min(_PIECE, 4 * size - at))
            for at in range(0, 4 * size, _PIECE)
        )
        groups = tuple(sorted(struct.unpack(f"={size}I", data)))  # as the kernel keeps them
        self._become(call, who, credentials.set_groups(who, groups))
        return 0


def _numbers(call: Notification) -> tuple[int, ...]:
    return tuple(argument & UNCHANGED for argument in call.arguments)


def _tell_no_limit(call: Notification, argument: int) -> int:
    """The limit that holds what this process keeps there is none to the step."""
    write_memory(call.thread, call.arguments[argument], b"\xff" * 16)
    return 0


def _tell(call: Notification, ids: Ids) -> int:
    for address, value in zip(call.arguments, (ids.real, ids.effective, ids.saved), strict=False):
        write_memory(call.thread, address, struct.pack("=I", value))
    return 0
