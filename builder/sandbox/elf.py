"""ELF headers by architecture: what a handler must match, and the least program that shows whether one runs."""

from __future__ import annotations

import struct

from msgspec import Struct


class Machine(Struct, frozen=True):
    """How programs of an architecture look (elf(5)) and what QEMU calls it.

    `leave` is the code of exit(0), for those that a processor may run besides its own.
    """

    qemu: str
    bits: int
    order: str
    number: int
    leave: bytes = b""


# By the names of OCI (Go's GOARCH).
MACHINES = {
    "amd64": Machine("x86_64", 64, "<", 62),
    # mov eax, 1; xor ebx, ebx; int 0x80
    "386": Machine("i386", 32, "<", 3, bytes.fromhex("b801000000 31db cd80")),
    "arm64": Machine("aarch64", 64, "<", 183),
    # mov r0, #0; mov r7, #1; svc 0
    "arm": Machine("arm", 32, "<", 40, bytes.fromhex("0000a0e3 0170a0e3 000000ef")),
    "riscv64": Machine("riscv64", 64, "<", 243),
    "ppc64le": Machine("ppc64le", 64, "<", 21),
    "s390x": Machine("s390x", 64, ">", 22),
    "loong64": Machine("loongarch64", 64, "<", 258),
    "mips64le": Machine("mips64el", 64, "<", 8),
}
_EXECUTABLE, _SHARED, _LOAD, _INTERP = 2, 3, 1, 3
_BASE = 0x10000
# The flags of ARM's EABI version 5: the kernel refuses others.
_FLAGS = {40: 0x05000000}


def header(machine: Machine, kind: int = _EXECUTABLE, segments: int = 0) -> bytes:
    """The ELF header of a program; `kind` 2 has fixed addresses, 3 none."""
    wide = machine.bits == 64
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if machine.order == "<" else 2, 1]) + bytes(9)
    size, entry_size = (64, 56) if wide else (52, 32)
    word = "Q" if wide else "I"
    return struct.pack(
        f"{machine.order}16sHHI{word}{word}{word}IHHHHHH",
        ident, kind, machine.number, 1,
        _BASE + size + segments * entry_size, size if segments else 0, 0,
        _FLAGS.get(machine.number, 0), size, entry_size, segments, 0, 0, 0,
    )  # fmt: skip


def kinds(machine: Machine) -> tuple[bytes, bytes]:
    """The headers of both sorts of programs: with fixed addresses, and those loaded anywhere."""
    return header(machine), header(machine, _SHARED)


def least(machine: Machine) -> bytes:
    """A whole program of a 32-bit machine that does nothing but end with 0."""
    code = machine.leave
    length = 52 + 32 + len(code)
    segment = struct.pack(f"{machine.order}8I", _LOAD, 0, _BASE, _BASE, length, length, 5, 0x1000)
    return header(machine, segments=1) + segment + code


def architecture(start: bytes) -> str | None:
    """Whose program begins with the bytes `start` (20 are enough); None for no ELF file or an unknown one."""
    if len(start) < 20 or start[:4] != b"\x7fELF":
        return None
    order = "<" if start[5] == 1 else ">"
    bits = 64 if start[4] == 2 else 32
    (number,) = struct.unpack_from(f"{order}H", start, 18)
    found = (name for name, m in MACHINES.items() if (m.bits, m.order, m.number) == (bits, order, number))
    return next(found, f"machine {number}")


def is_static(data: bytes) -> bool:
    """Whether the 64-bit program that begins with `data` is loaded without a loader, as far as `data` tells."""
    if len(data) < 64 or data[:5] != b"\x7fELF\x02":
        return False
    order = "<" if data[5] == 1 else ">"
    (at,) = struct.unpack_from(f"{order}Q", data, 32)
    size, count = struct.unpack_from(f"{order}HH", data, 54)
    ends = at + size * count
    if not count or ends > len(data):
        return False
    return all(struct.unpack_from(f"{order}I", data, at + i * size)[0] != _INTERP for i in range(count))
