"""What a layer may unpack to."""

from __future__ import annotations

import io

import pytest

from builder.digest import Reader
from builder.errors import BadInputError
from builder.layers.bounds import Bounded, Bounds, Counted


class Growing:
    """Gives so many bytes for each that it reads of `source`."""

    def __init__(self, source: Reader, factor: int) -> None:
        self._source, self._factor = source, factor

    def read(self, size: int = -1) -> bytes:
        return self._source.read(10) * self._factor


def unpacked(packed: int, factor: int, bounds: Bounds) -> int:
    """How many bytes are read of something that grows by `factor`."""
    counted = Counted(io.BytesIO(bytes(packed)))
    bounded = Bounded(Growing(counted, factor), counted, bounds)
    total = 0
    while data := bounded.read(1 << 16):
        total += len(data)
    return total


@pytest.mark.parametrize(
    ("packed", "factor"),
    [(1000, 1), (10, 100), (1000, 20), (100_000, 20)],
    ids=["not at all", "small", "as much as allowed", "large"],
)
def test_what_is_allowed(packed: int, factor: int) -> None:
    assert unpacked(packed, factor, Bounds(bytes=1000, ratio=20)) == packed * factor


@pytest.mark.parametrize(("packed", "factor"), [(1000, 21), (20, 51), (1_000_000, 5000)])
def test_what_is_not(packed: int, factor: int) -> None:
    with pytest.raises(BadInputError, match="unpack to more than"):
        unpacked(packed, factor, Bounds(bytes=1000, ratio=20))
