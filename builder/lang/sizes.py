"""Sizes as Docker reads and writes them.

Read: `64m`, `1.5 GiB`, `512`; a unit is always a power of 1024 (units.RAMInBytes). Written: `13.4MB`, where a unit is a
power of 1000 (units.HumanSizeWithPrecision).
"""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+\.?\d*|\.\d+) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE | re.ASCII)
_LONGEST = 40


def parse_size(text: str) -> int | None:
    """The bytes `text` means; None when it is no size."""
    match = _SIZE.fullmatch(text) if len(text) < _LONGEST else None
    if match is None:
        return None
    power = "kmgtp".index(match[2].lower()) + 1 if match[2] else 0
    # lazy: few Buildfiles and commands have a size
    from fractions import Fraction

    return int(Fraction(match[1]) * 1024**power)


def size(count: int) -> str:
    """Bytes for people, in Docker's decimal units: `13.4MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}TB"
