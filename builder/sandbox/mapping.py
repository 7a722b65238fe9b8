"""The IDs of an ordinary user's namespace: the subordinate ranges where there are some, else the own one alone."""

from __future__ import annotations

import os
import subprocess

from builder.errors import HostError, UsageError
from builder.linux import ids

# `one-id` leaves subordinate IDs alone: to see what users without them get.
ONE_ID = "one-id"


def map_ranges(pid: int) -> HostError | None:
    """Map the user's subordinate IDs into the new namespace of `pid`.

    Gives None when that is done; else why it cannot be, and nothing is mapped. Raises HostError when only a part
    could be, UsageError for a tier that is not known.
    """
    wanted = os.environ.get("PYBUILD_TIER", "")
    if wanted == ONE_ID:
        return HostError(f"PYBUILD_TIER is {ONE_ID}", hint="unset PYBUILD_TIER")
    if wanted:
        raise UsageError(f"PYBUILD_TIER is {wanted!r}", hint=f"the only tier that can be chosen is {ONE_ID}")
    name = ids.user_name(os.geteuid())
    try:
        commands = [_command(pid, name, *kind) for kind in (("uid", os.geteuid()), ("gid", os.getegid()))]
        _run(commands[0], name)
    except HostError as error:
        return error
    _run(commands[1], name)
    return None


def _command(pid: int, name: str, kind: str, own: int) -> list[str]:
    path = ids.find_program(f"new{kind}map")
    if path is None:
        raise HostError(f"new{kind}map is not installed", hint="run as root: apt-get install uidmap")
    extra = ids.subordinate(f"/etc/sub{kind}", name, os.geteuid())
    return [path, str(pid), *ids.map_arguments(own, extra)]


def _run(command: list[str], name: str) -> None:
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        program = os.path.basename(command[0])
        file = f"/etc/sub{program[3:6]}"
        raise HostError(f"{program} failed: {done.stderr.strip()}", hint=f"check the line of {name} in {file}")
