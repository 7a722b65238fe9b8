"""The filter, run by an interpreter of its few instructions, and memory of another process."""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.linux.notify import (
    ALLOW,
    NOTIFY,
    Conditional,
    Match,
    program,
    read_memory,
    read_string,
    write_memory,
)

HERE, ELSEWHERE = 0xC000003E, 0x40000003
PROGRAM = program(
    HERE,
    (4, 92, 105),
    (Conditional(2, 1, Match.BITS, 0o100), Conditional(257, 2, Match.BITS, 0o100), Conditional(157, 0, Match.EQUAL, 8)),
)


def run(code: bytes, number: int, arguments: tuple[int, ...] = (), architecture: int = HERE) -> int:
    """What the kernel does with a call: the instructions of classic BPF that the filter is made of."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *arguments, *(0,) * (6 - len(arguments)))
    instructions = list(struct.iter_unpack("=HBBI", code))
    at, accumulator = 0, 0
    while True:
        operation, if_true, if_false, value = instructions[at]
        at += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x45:
                at += if_true if accumulator & value else if_false
            case 0x06:
                return value
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (4, (), NOTIFY),
        (92, (), NOTIFY),
        (105, (), NOTIFY),
        (5, (), ALLOW),
        (100, (8, 0o100, 0o100), ALLOW),
        (2, (0, 0o101), NOTIFY),
        (2, (0o100, 0o2), ALLOW),
        (257, (0, 0, 0o1101), NOTIFY),
        (257, (0, 0o100, 0), ALLOW),
        (157, (8,), NOTIFY),
        (157, (9, 8), ALLOW),
        (157, (8 | 1 << 33,), NOTIFY),
    ],
)
def test_the_filter_tells_of_what_it_should(number: int, arguments: tuple[int, ...], expected: int) -> None:
    assert run(PROGRAM, number, arguments) == expected


def test_calls_of_another_architecture_are_let_through() -> None:
    assert run(PROGRAM, 4, (), ELSEWHERE) == ALLOW


def test_a_filter_of_nothing_lets_all_through() -> None:
    assert run(program(HERE, ()), 4) == ALLOW


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[tuple[mmap.mmap, int]]:
    """Three pages, and where they are."""
    file = tmp_path / "three-pages"
    file.write_bytes(bytes(3 * mmap.PAGESIZE))
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as pages:
        (line,) = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(file.name)]
        yield pages, int(line.partition("-")[0], 16)


def test_strings_end_at_their_nul_and_at_the_end_of_memory(memory: tuple[mmap.mmap, int]) -> None:
    pages, start = memory
    pages[mmap.PAGESIZE - 3 : mmap.PAGESIZE + 6] = b"path/name"
    assert read_string(os.getpid(), start + mmap.PAGESIZE - 3) == b"path/name"
    pages[:] = b"x" * len(pages)
    with pytest.raises(OSError, match=os.strerror(errno.ENAMETOOLONG)):
        read_string(os.getpid(), start)
    with pytest.raises(OSError, match=os.strerror(errno.EFAULT)):
        read_string(os.getpid(), 1)


def test_memory_is_written_where_it_is_read(memory: tuple[mmap.mmap, int]) -> None:
    pages, start = memory
    write_memory(os.getpid(), start, b"abc")
    assert read_memory(os.getpid(), start, 4) == b"abc\0" == pages[:4]
