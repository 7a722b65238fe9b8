"""binfmt_misc: which program the kernel starts programs of other machines by (kernel doc admin-guide/binfmt-misc.rst).

A handler is registered for the whole machine, or since Linux 6.7 in a user namespace, where it lasts as long as that
instance is mounted somewhere. The kernel asks the instance of the nearest user namespace that has one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from msgspec import Struct

from builder.linux import syscalls
from builder.linux.ids import find_program
from builder.sandbox import elf

DIRECTORY = "/proc/sys/fs/binfmt_misc"
_HEAD = 4096


class Handler(Struct, frozen=True):
    """One entry. `fixed`: its program was opened when it was registered, so no root needs to have it."""

    name: str
    interpreter: str
    fixed: bool
    offset: int
    magic: bytes
    mask: bytes

    def takes(self, program: bytes) -> bool:
        """Whether it is for a program that begins with these bytes."""
        part = program[self.offset : self.offset + len(self.magic)]
        return len(part) == len(self.magic) and all(
            p & m == g & m for p, m, g in zip(part, self.mask, self.magic, strict=True)
        )


def read_handler(name: str, text: str) -> Handler | None:
    """The handler an entry's text describes; None for one that is off or goes by a file's extension."""
    lines = text.splitlines()
    facts = dict(line.split(" ", 1) for line in lines[1:] if " " in line)
    if lines[:1] != ["enabled"] or "magic" not in facts:
        return None
    magic = bytes.fromhex(facts["magic"])
    mask = bytes.fromhex(facts["mask"]) if "mask" in facts else b"\xff" * len(magic)
    flags = facts.get("flags:", "")
    return Handler(name, facts.get("interpreter", ""), "F" in flags, int(facts.get("offset", "0")), magic, mask)


def handlers() -> list[Handler]:
    """What is registered where this process's programs are looked up, as far as it can see that."""
    with suppress(OSError), _instance() as directory:
        return list(_read(directory))
    return []


def find(machine: elf.Machine, among: list[Handler]) -> Handler | None:
    """The handler that takes both sorts of programs of `machine`."""
    return next((h for h in among if all(h.takes(start) for start in elf.kinds(machine))), None)


@contextmanager
def _instance() -> Iterator[int]:
    """The directory of the instance in effect: where it is mounted, else (root) mounted for this look alone."""
    try:
        fd = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if "status" not in os.listdir(fd):
            os.close(fd)
            fd = mounted()
    except FileNotFoundError:
        fd = mounted()
    try:
        yield fd
    finally:
        os.close(fd)


def mounted() -> int:
    """A descriptor of this user namespace's instance, mounted nowhere. Raises OSError: too old a kernel, no right."""
    fs = syscalls.fsopen("binfmt_misc")
    try:
        syscalls.fsconfig_create(fs)
        return syscalls.fsmount(fs)
    finally:
        os.close(fs)


def _read(directory: int) -> Iterator[Handler]:
    top = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        for name in sorted(os.listdir(top)):
            if name in ("register", "status"):
                continue
            with suppress(OSError, ValueError):
                fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=top)
                with os.fdopen(fd) as file:
                    handler = read_handler(name, file.read())
                if handler is not None:
                    yield handler
        with open(os.open("status", os.O_RDONLY | os.O_CLOEXEC, dir_fd=top)) as file:
            if file.read().strip() == "disabled":
                raise OSError(errno.EPERM, "binfmt_misc is disabled")
    finally:
        os.close(top)


# --- emulators that are installed ----------------------------------------------------------------


def emulator(machine: elf.Machine) -> str | None:
    """QEMU's user-mode emulator of `machine`, where it is a program that needs no libraries."""
    for name in (f"qemu-{machine.qemu}-static", f"qemu-{machine.qemu}"):
        path = find_program(name)
        if path is not None:
            with open(path, "rb") as file:
                if elf.is_static(file.read(_HEAD)):
                    return path
    return None


def line(machine: elf.Machine, program: str) -> bytes:
    """What registers `program` for `machine`: P keeps argv[0], O hands the open file over, C its set-user-ID, F opens
    the program now.
    """
    start = elf.header(machine)[:20]
    mask = bytearray(b"\xff" * 20)
    mask[7:16] = bytes([0, *b"\xff" * 8])  # the ABI's name and version do not matter: EI_OSABI
    mask[16 if machine.order == "<" else 17] = 0xFE  # ET_EXEC and ET_DYN
    quoted = ["".join(f"\\x{byte:02x}" for byte in part) for part in (start, mask)]
    return f":pybuild-{machine.qemu}:M::{quoted[0]}:{quoted[1]}:{program}:POCF".encode()


def register(instance: int, own: str) -> None:
    """Register all emulators installed here in `instance`, but none for the architecture `own`. Raises OSError.

    All, because what is registered in a user namespace hides what is registered outside.
    """
    for name, machine in elf.MACHINES.items():
        program = None if name == own else emulator(machine)
        if program is None:
            continue
        fd = os.open("register", os.O_WRONLY | os.O_CLOEXEC, dir_fd=instance)
        try:
            os.write(fd, line(machine, program))
        except FileExistsError:
            pass  # by another step that runs now
        finally:
            os.close(fd)
