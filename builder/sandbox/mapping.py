"""The IDs of a launcher's user namespace: ranges where there are some, else the own one alone."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

from builder.errors import HostError
from builder.linux import ids
from builder.sandbox.tiers import ONE_ID, chosen

# Not all of them: so a namespace can be told from the first one.
_MOST = 65536


def map_ranges(pid: int) -> HostError | None:
    """Map IDs into the new namespace of `pid`: root's to themselves, an ordinary user's own and subordinate ones.

    Gives None when that is done; else why it cannot be, and nothing is mapped. Raises HostError when only a part
    could be.
    """
    if chosen() == ONE_ID:
        return HostError(f"PYBUILD_TIER is {ONE_ID}", hint="unset PYBUILD_TIER")
    if os.geteuid() == 0:
        return _map_own_to_themselves(pid)
    name = ids.user_name(os.geteuid())
    try:
        commands = [_command(pid, name, *kind) for kind in (("uid", os.geteuid()), ("gid", os.getegid()))]
        _run(commands[0], name)
    except HostError as error:
        return error
    _run(commands[1], name)
    return None


def _map_own_to_themselves(pid: int) -> HostError | None:
    for kind in ("uid", "gid"):
        lines = [f"{first} {first} {min(count, _MOST)}" for first, count in ids.mapped(kind)]
        try:
            Path(f"/proc/{pid}/{kind}_map").write_text("\n".join(lines))
        except OSError as error:
            failed = HostError(
                f"root's IDs cannot be mapped here: {error.strerror}", hint="it takes CAP_SETUID and CAP_SETGID"
            )
            if kind == "uid":
                return failed
            raise failed from error
    return None


def _command(pid: int, name: str, kind: str, own: int) -> list[str]:
    path = ids.find_program(f"new{kind}map")
    if path is None:
        raise HostError(f"new{kind}map is not installed", hint="run as root: apt-get install uidmap")
    extra = ids.subordinate(f"/etc/sub{kind}", name, os.geteuid())
    return [path, str(pid), *ids.map_arguments(own, extra)]


def _run(command: list[str], name: str) -> None:
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    except OSError as error:  # execve(2), EPERM: it has a capability that this process may never have
        raise _failed(command[0], name, error.strerror or str(error)) from error
    if done.returncode:
        raise _failed(command[0], name, done.stderr.strip())


def _failed(path: str, name: str, why: str) -> HostError:
    kind = os.path.basename(path)[3:6]
    hint = f"check the line of {name} in /etc/sub{kind}"
    if os.strerror(errno.EPERM) in why:  # setuid does not do without CAP_SYS_ADMIN, and nothing under no_new_privs
        hint = f"in a container without no_new_privs: setcap cap_set{kind}=ep {path}, in its image"
    return HostError(f"new{kind}map failed: {why}", hint=hint)
