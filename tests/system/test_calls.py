"""What a build that has nothing to do asks of the kernel: no process, no waiting for the disk, little a step and file.

Counts, not times: they are the same on every machine.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from tests.support.program import Pybuild

PROCESSES = ("clone", "clone3", "fork", "vfork")
DISK = ("fsync", "fdatasync", "syncfs", "sync", "msync")
_CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)
_numbers = count()
How = Callable[[Pybuild, tuple[str, ...]], Counter[str]]


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild("import", "--from-host", "sh", "base")
    return pybuild


def calls(program: Pybuild, *words: str) -> Counter[str]:
    """The system calls of a build, by name."""
    told = program.work.parent / "calls"
    traced = ("strace", "-f", "-qq", "-e", "signal=none", "-o", str(told))
    replace(program, prefix=(*traced, *program.prefix))("build", "-q", *words)
    return Counter(_CALL.findall(told.read_text()))


def steps(program: Pybuild, number: int) -> tuple[str, ...]:
    lines = "".join(f"ENV N={n}\nWORKDIR /{n}\n" for n in range(number))
    program.file(f"steps{number}", f"FROM base\n{lines}")
    return ("-f", f"steps{number}", ".")


def files(program: Pybuild, number: int) -> tuple[str, ...]:
    for n in range(number):
        program.file(f"tree{number}/{n}", str(n))
    program.file(f"files{number}", f"FROM base\nCOPY tree{number} /tree\n")
    return ("-f", f"files{number}", ".")


def known(program: Pybuild, words: tuple[str, ...]) -> Counter[str]:
    for _ in range(3):
        program("build", "-q", *words)
    return calls(program, *words)


def cached(program: Pybuild, words: tuple[str, ...]) -> Counter[str]:
    """As `known`, but in words that nobody has said before."""
    program("build", "-q", *words)
    return calls(program, "-t", f"name{next(_numbers)}", *words)


def test_a_build_that_is_known_starts_nothing_and_waits_for_no_disk(based: Pybuild) -> None:
    for words in (steps(based, 5), files(based, 5)):
        found = known(based, words)
        assert found["execve"] == 1
        assert not [name for name in (*PROCESSES, *DISK) if found[name]]


def test_a_build_from_the_cache_starts_nothing(based: Pybuild) -> None:
    for words in (steps(based, 5), files(based, 5)):
        found = cached(based, words)
        assert found["execve"] == 1
        assert not [name for name in PROCESSES if found[name]]


@pytest.mark.parametrize(("how", "most"), [(known, 3), (cached, 20)])
def test_a_step_more_is_little_more(based: Pybuild, how: How, most: int) -> None:
    few, many = (how(based, steps(based, number)).total() for number in (5, 45))
    assert (many - few) / 40 <= most


@pytest.mark.parametrize(("how", "most"), [(known, 1.5), (cached, 1.5)])
def test_a_file_more_is_one_call_more(based: Pybuild, how: How, most: float) -> None:
    few, many = (how(based, files(based, number)).total() for number in (50, 450))
    assert (many - few) / 400 <= most
