"""Ten thousand damaged Buildfiles: each is built or refused at a place in it, soon and in little memory."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.errors import BuildfileError, PybuildError
from builder.graph.lower import lower
from builder.lang.parser import parse
from builder.lang.source import Source
from tests.support import corpus

SEEDS = [path.read_bytes() for path in (*corpus.files(), *sorted(corpus.EXAMPLES.glob("*/Buildfile")))]
CHUNKS, CHUNK = 20, 500
# Only something that hangs meets it: a mutant takes milliseconds.
SECONDS = 20
MOST_MEMORY = 200 << 20
_NOISE = [
    "\0",
    "\r",
    "\n",
    "\\\n",
    "\\",
    "`",
    '"',
    "'",
    "${",
    "}",
    "$",
    "<<EOF\n",
    "<<-",
    "--",
    "=",
    "[",
    "]",
    "#",
    "\t",
    "\ufeff",
]
_KEYWORDS = [
    "FROM a\n",
    "RUN ",
    "COPY --from=",
    "ONBUILD ",
    "ENV ",
    "ARG ",
    "# escape=`\n",
    "HEALTHCHECK ",
    "SHELL [",
    "EXPOSE 1-",
]


def mutated(chance: random.Random) -> bytes:
    """A seed with one to six changes, each at a random place."""
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randint(1, 6)):
        chance.choice(_CHANGES)(data, chance)
    return bytes(data)


def _flip(data: bytearray, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _delete(data: bytearray, chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    del data[at : at + chance.choice([1, 1, 2, 10, 100])]


def _insert(data: bytearray, chance: random.Random) -> None:
    text = chance.choice(
        [chance.choice(_NOISE), chance.choice(_KEYWORDS), chr(chance.randrange(0xD800)), "9" * chance.randint(1, 5000)]
    )
    at = chance.randint(0, len(data))
    data[at:at] = text.encode() * chance.choice([1, 1, 1, 2, 30])


def _garbage(data: bytearray, chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = chance.randbytes(chance.randint(1, 40))


def _duplicate(data: bytearray, chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    data[start:start] = bytes(data[start : start + chance.randint(1, 200)]) * chance.choice([1, 1, 20])


def _splice(data: bytearray, chance: random.Random) -> None:
    other = chance.choice(SEEDS)
    start, at = chance.randint(0, len(other)), chance.randint(0, len(data))
    data[at : at + chance.randint(0, 50)] = other[start : start + chance.randint(1, 300)]


def _swap_lines(data: bytearray, chance: random.Random) -> None:
    lines = data.split(b"\n")
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    data[:] = b"\n".join(lines)


def _splice_lines(data: bytearray, chance: random.Random) -> None:
    lines, other = data.split(b"\n"), chance.choice(SEEDS).split(b"\n")
    start, at = chance.randrange(len(other)), chance.randrange(len(lines))
    lines[at:at] = [bytearray(line) for line in other[start : start + 4]]
    data[:] = b"\n".join(lines)


_CHANGES = [_flip, _flip, _delete, _insert, _insert, _garbage, _duplicate, _splice, _swap_lines, _splice_lines]


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_damaged_file_is_built_or_refused_at_its_place(chunk: int) -> None:
    chance = random.Random(chunk)
    built = 0
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of other tests, proc(5)
    for _ in range(CHUNK):
        data = mutated(chance)
        text = Source("Buildfile", data.decode("utf-8", "surrogateescape"))
        with alarm(SECONDS):
            try:
                corpus.built(text)
            except PybuildError as error:
                check_refusal(error, text)
            except Exception:
                print(data)  # the failing test shows it
                raise
            else:
                built += 1
    assert 0 < built < CHUNK, "both ways are taken"
    assert memory("VmHWM") - before < MOST_MEMORY


def memory(name: str) -> int:
    """A figure of this process in bytes: VmRSS is what it has in memory now, VmHWM the most it ever had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split(maxsplit=1)[0]) << 10


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_damaged_trigger_of_a_base_image_is_built_or_refused_at_its_place(chunk: int) -> None:
    chance = random.Random(1000 + chunk)
    source = Source("Buildfile", "FROM base\nRUN own")
    for _ in range(CHUNK // 10):
        lines = mutated(chance).decode("utf-8", "surrogateescape").split("\n")
        triggers = tuple(chance.choices(lines, k=4))
        with alarm(SECONDS):
            try:
                lower(parse(source), source, corpus.OPTIONS, corpus.Images(triggers))
            except PybuildError as error:
                assert error.where is not None, (error, triggers)
                assert error.where.line >= 1


def check_refusal(error: PybuildError, text: Source) -> None:
    assert isinstance(error, BuildfileError) or error.where is not None, error
    assert error.where is not None, error
    assert error.where.path == "Buildfile" or error.where.path.startswith("ONBUILD of "), error.where
    assert 1 <= error.where.line <= text.text.count("\n") + 1, error.where
    assert error.message
