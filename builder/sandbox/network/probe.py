"""Which program can make networks for steps on this machine: tried once, and remembered in a file.

A trial is a whole network, made and thrown away. The answer is good until the machine is started again, a program is
installed or changed, or who may open /dev/net/tun changes; that nothing works is believed for an hour only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from builder.errors import HostError
from builder.linux.boot import boot_id
from builder.linux.files import write_atomically
from builder.readied import readied
from builder.sandbox.network.programs import Program, found, packages
from builder.sandbox.tiers import takes_user_namespace

_HOUR = 3600.0


class Answer(msgspec.Struct, frozen=True):
    """The `program` that works, started in `seconds`; None when none does. `reasons`: why others do not, by name."""

    program: Program | None = None
    seconds: float = 0.0
    reasons: tuple[tuple[str, str], ...] = ()

    def hint(self) -> str:
        """What to do when no program works."""
        if not self.reasons:
            return f"run as root: apt-get install {packages()}"
        told = "; ".join(f"{name}: {why}" for name, why in self.reasons)
        closed = not os.access("/dev/net/tun", os.R_OK | os.W_OK)
        return f"{told}; both need /dev/net/tun, which is closed to you: chmod 666 /dev/net/tun" if closed else told


class _Remembered(msgspec.Struct, frozen=True):
    about: str
    asked: float
    answer: Answer


def answer(make: Callable[[Program], None], memory: Path) -> Answer:
    """What works here, as remembered in the file `memory`, else tried now.

    `make` makes a network with a program and throws it away; it raises HostError when it cannot.
    """
    programs = found()
    known = remembered(memory, programs)
    if known is not None:
        return known
    made = _Remembered(_circumstances(programs), time.time(), _tried(make, programs))
    with suppress(OSError):  # it is asked again then
        write_atomically(str(memory), msgspec.json.encode(made))
    return made.answer


def remembered(memory: Path, programs: list[Program] | None = None) -> Answer | None:
    """What works here, if that is known in the file `memory`. `programs` are those there are."""
    with suppress(OSError, msgspec.DecodeError):
        known = msgspec.json.decode(memory.read_bytes(), type=readied(_Remembered))
        good = known.answer.program is not None or 0 <= time.time() - known.asked < _HOUR
        if good and known.about == _circumstances(found() if programs is None else programs):
            return known.answer
    return None


def forget(memory: Path) -> None:
    """Have the next `answer` try again."""
    memory.unlink(missing_ok=True)


def _circumstances(programs: list[Program]) -> str:
    """All that an answer depends on, as far as it can be seen without trying."""
    try:
        tun = os.stat("/dev/net/tun")
        door = f"{tun.st_mode:o} {tun.st_uid} {tun.st_gid} {tun.st_rdev}"
    except OSError:
        door = "none"
    boot = boot_id()
    whoever = (os.geteuid(), takes_user_namespace(), os.readlink("/proc/self/ns/user"))
    return msgspec.json.encode((boot, whoever, door, programs)).decode()


def _tried(make: Callable[[Program], None], programs: list[Program]) -> Answer:
    reasons: list[tuple[str, str]] = []
    for program in programs:
        started = time.monotonic()
        try:
            make(program)
        except HostError as error:
            reasons.append((program.name, error.message))
        else:
            return Answer(program, time.monotonic() - started, tuple(reasons))
    return Answer(reasons=tuple(reasons))
