"""Build contexts that the cases are measured on, made of this machine's programs: as compressible as programs are."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from benchmarks import inputs
from benchmarks.peers.base import BASE

# so many files lie in one directory
_IN_DIRECTORY = 100
_SMALL = (500, 8_000)
_PIECE = 1 << 20
_MATERIAL = 64 << 20


def steps(directory: Path, count: int, word: str) -> Path:
    """`count` RUN steps, each of which writes `word` into a file of its own."""
    return written(directory, [f"RUN echo {word} > /step{number}" for number in range(1, count + 1)])


def written(directory: Path, lines: Iterable[str], base: str = BASE) -> Path:
    """A context with a Dockerfile of these instructions on `base`."""
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text("\n".join([f"FROM {base}", *lines]) + "\n")
    return directory


def copied(directory: Path) -> Path:
    """A context whose directory `data` is copied, and then a step runs."""
    (directory / "data").mkdir(parents=True)
    return written(directory, ["COPY data /data", "RUN echo 1 > /ran"])


def fill_small(data: Path, count: int, seed: str = "") -> None:
    """Have `count` small files below `data`, of contents that nobody has seen; of the same ones where seeds are alike.

    20,000 of them have 85 MB.
    """
    seed = seed or secrets.token_hex(8)
    chance, source = random.Random(seed), _material()
    for number in range(count):
        path = data / f"{number // _IN_DIRECTORY:04d}" / f"{number % _IN_DIRECTORY}.txt"
        if number % _IN_DIRECTORY == 0:
            path.parent.mkdir(exist_ok=True)
        start = chance.randrange(len(source) - _SMALL[1])
        content = source[start : start + chance.randrange(*_SMALL)]
        # two files may be cut alike
        path.write_bytes(f"{seed} {number}\n".encode() + content)


def fill_big(data: Path, count: int, size: int) -> None:
    """Have `count` files of `size` bytes below `data`, of contents that nobody has seen."""
    chance, source = random.Random(secrets.token_hex(8)), _material()
    for number in range(count):
        with (data / str(number)).open("wb") as stream:
            left = size
            while left > 0:
                start = chance.randrange(len(source) - _PIECE)
                left -= stream.write(source[start : start + min(left, _PIECE)])


@cache
def _material() -> bytes:
    """Bytes of this machine's programs, as many as no compressor looks back."""
    found = bytearray()
    for path in inputs.files():
        found += Path(path).read_bytes()
        if len(found) >= _MATERIAL:
            break
    return bytes(found)
