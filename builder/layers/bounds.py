"""How large a layer from outside may become: a megabyte must not fill a disk (docs/decisions/0022)."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from builder.digest import Reader
from builder.errors import BadInputError

_GB = 1_000_000_000


class Bounds(Struct, frozen=True):
    """A layer may unpack to `bytes`, or to `ratio` times what it is compressed, whichever is more."""

    bytes: int = 4 * _GB
    ratio: int = 100


class Counting(Protocol):
    """A reader that says how many bytes were read."""

    size: int

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes."""
        ...


class Counted:
    """Hands on bytes of `source` while counting them."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of the source."""
        data = self._source.read(size)
        self.size += len(data)
        return data


class Bounded:
    """Hands on what `packed` is unpacked to by `plain`. Raises BadInputError when that is more than `bounds` allow."""

    def __init__(self, plain: Reader, packed: Counting, bounds: Bounds) -> None:
        self._plain, self._packed, self._bounds = plain, packed, bounds
        self._size = 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        data = self._plain.read(size)
        self._size += len(data)
        if self._size > self._bounds.bytes and self._size > self._packed.size * self._bounds.ratio:
            raise BadInputError(
                f"its {self._packed.size} bytes unpack to more than {self._size - len(data)}",
                hint="if it is meant to be so large, allow it: unpacked-bytes in section images of config.toml",
            )
        return data
