"""Which platforms' programs run here: natively, or by an emulator that binfmt_misc starts.

    the processor (and kernel) itself ─▶ a handler that is registered ─▶ one registered for this launcher alone

The last needs Linux 6.7, an emulator that is installed, and a user namespace of the launcher's own: nothing outside
it changes, and it is gone with the step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache

from msgspec import Struct

from builder.errors import HostError
from builder.image.platform import Platform, host
from builder.sandbox import binfmt, children, elf

# What another architecture's processors may run too; whether this one does is tried.
_ALSO = {"386": "amd64", "arm": "arm64"}


class How(StrEnum):
    """How programs of a platform run."""

    NATIVE = "native"
    REGISTERED = "registered"
    REGISTRABLE = "registrable"


class Runnable(Struct, frozen=True):
    """A platform whose programs run here, how, and by which program if it is an emulator.

    REGISTRABLE: nothing is registered, but an emulator is installed; for ordinary users that is enough since Linux 6.7.
    """

    platform: Platform
    how: How
    program: str = ""


def runnable() -> tuple[Runnable, ...]:
    """Every platform whose programs this machine can run, its own first."""
    found = [Runnable(host(), How.NATIVE)]
    registered = binfmt.handlers()
    for name, machine in elf.MACHINES.items():
        platform = Platform("linux", name)
        if name == host().architecture:
            continue
        handler = binfmt.find(machine, registered)
        if is_native(name):
            found.append(Runnable(platform, How.NATIVE))
        elif handler is not None and (handler.fixed or os.path.exists(handler.interpreter)):
            found.append(Runnable(platform, How.REGISTERED, handler.interpreter))
        elif (program := binfmt.emulator(machine)) is not None:
            found.append(Runnable(platform, How.REGISTRABLE, program))
    return tuple(found)


@cache
def is_native(architecture: str) -> bool:
    """Whether the processor and the kernel run programs of `architecture` themselves."""
    own = host().architecture
    return architecture == own or (_ALSO.get(architecture) == own and _starts(elf.least(elf.MACHINES[architecture])))


def _starts(program: bytes) -> bool:
    """Whether a program that ends with 0 does so here."""
    fd = os.memfd_create("probe", 0)
    try:
        os.write(fd, program)
        pid = os.posix_spawn(f"/proc/self/fd/{fd}", ["probe"], {})
        return os.waitpid(pid, 0)[1] == 0
    except OSError:
        return False
    finally:
        os.close(fd)


@contextmanager
def made_runnable(platform: str, root: str) -> Iterator[None]:
    """Programs of `platform` (empty: this machine's) run in `root` as long as the context lasts. Raises HostError."""
    wanted = Platform.parse(platform) if platform else host()
    machine = elf.MACHINES.get(wanted.architecture)
    if machine is None or is_native(wanted.architecture):
        yield
        return
    handler = binfmt.find(machine, binfmt.handlers())
    if handler is not None and (handler.fixed or os.path.exists(root + handler.interpreter)):
        yield
        return
    instance = _registered_privately(machine)
    if instance is None:
        raise _missing(wanted, machine, handler)
    try:
        yield
    finally:
        os.close(instance)


def _registered_privately(machine: elf.Machine) -> int | None:
    """A descriptor that keeps the launcher's own handlers registered; None where that cannot be.

    Never in a user namespace that others made: what is registered there would be seen, and stay, outside pybuild.
    """
    if not children.owns_user_namespace() or binfmt.emulator(machine) is None:
        return None
    try:
        instance = binfmt.mounted()
    except OSError:
        return None
    try:
        binfmt.register(instance, host().architecture)
    except OSError:
        os.close(instance)
        return None
    return instance


def _missing(platform: Platform, machine: elf.Machine, handler: binfmt.Handler | None) -> HostError:
    if handler is not None:
        return HostError(
            f"{platform} programs cannot run here: the handler {handler.name!r} of binfmt_misc starts "
            f"{handler.interpreter}, which is not in the step's root",
            hint=f"as root: echo -1 > {binfmt.DIRECTORY}/{handler.name}, and register it again with the flag F",
        )
    program = binfmt.emulator(machine)
    if program is None:
        fix = "apt-get install qemu-user-static binfmt-support (Fedora: dnf install qemu-user-static)"
    else:
        fix = (
            "systemctl restart systemd-binfmt; without systemd: "
            f"mount -t binfmt_misc binfmt_misc {binfmt.DIRECTORY}; "
            f"echo '{binfmt.line(machine, program).decode()}' > {binfmt.DIRECTORY}/register"
        )
    return HostError(
        f"{platform} programs cannot run here: no handler of binfmt_misc is registered for them",
        hint=f"as root: {fix}",
    )
