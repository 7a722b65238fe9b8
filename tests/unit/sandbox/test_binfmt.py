"""Which handlers take which programs, and the lines that register them."""

from __future__ import annotations

import re

import pytest

from builder.sandbox import binfmt, elf

ARM = """enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""


def registered(line: bytes) -> binfmt.Handler:
    """What the kernel makes of a line that registers."""
    _, name, kind, offset, magic, mask, interpreter, flags = line.decode().split(":")
    assert (kind, offset) == ("M", "")
    magic, mask = (re.sub(r"\\x", "", part) for part in (magic, mask))
    text = f"enabled\ninterpreter {interpreter}\nflags: {flags}\noffset 0\nmagic {magic}\nmask {mask}\n"
    found = binfmt.read_handler(name, text)
    assert found is not None
    return found


def test_an_entry_as_the_kernel_shows_it() -> None:
    handler = binfmt.read_handler("qemu-aarch64", ARM)
    assert handler is not None
    assert (handler.interpreter, handler.fixed) == ("/usr/libexec/qemu-binfmt/aarch64-binfmt-P", True)
    assert binfmt.find(elf.MACHINES["arm64"], [handler]) == handler
    assert all(binfmt.find(m, [handler]) is None for name, m in elf.MACHINES.items() if name != "arm64")


@pytest.mark.parametrize(
    "text",
    [ARM.replace("enabled", "disabled"), "enabled\ninterpreter /usr/bin/python3\nflags: \nextension .pyc\n", ""],
)
def test_entries_that_take_no_programs(text: str) -> None:
    assert binfmt.read_handler("x", text) is None


def test_without_the_flag_f_a_handler_is_not_fixed() -> None:
    handler = binfmt.read_handler("x", ARM.replace("POF", "PO"))
    assert handler is not None
    assert not handler.fixed


def test_a_handler_for_one_sort_of_programs_is_not_enough() -> None:
    strict = binfmt.read_handler("x", ARM.replace("fffeffffff", "ffffffffff"))
    assert strict is not None
    assert strict.takes(elf.header(elf.MACHINES["arm64"]))
    assert binfmt.find(elf.MACHINES["arm64"], [strict]) is None


@pytest.mark.parametrize("name", elf.MACHINES)
def test_the_line_for_a_machine_takes_its_programs_and_no_others(name: str) -> None:
    handler = registered(binfmt.line(elf.MACHINES[name], "/usr/bin/emulator"))
    assert handler.fixed
    assert [n for n, m in elf.MACHINES.items() if binfmt.find(m, [handler])] == [name]


@pytest.mark.parametrize("name", elf.MACHINES)
def test_the_architecture_of_a_file(name: str) -> None:
    assert elf.architecture(elf.header(elf.MACHINES[name])[:20]) == name


def test_files_of_no_known_architecture() -> None:
    assert elf.architecture(b"#!/bin/sh\n" + bytes(20)) is None
    assert elf.architecture(b"\x7fELF") is None
    assert elf.architecture(b"\x7fELF\2\1" + bytes(12) + b"\xff\x7f") == "machine 32767"


def test_static_programs() -> None:
    def program(*segments: int) -> bytes:
        table = b"".join(kind.to_bytes(4, "little") + bytes(52) for kind in segments)
        return elf.header(elf.MACHINES["amd64"], segments=len(segments)) + table

    assert elf.is_static(program(1, 2))
    assert not elf.is_static(program(1, 3))
    assert not elf.is_static(program(1, 3)[:-60])
    assert not elf.is_static(b"#!/bin/sh")
