"""How long the result of a RUN is good: what --cache says."""

from __future__ import annotations

import re

from builder.graph.attempts import FlagValueError
from builder.graph.gotext import parse_duration

_DAY = 24 * 3600 * 10**9
_DAYS = re.compile(r"(?:([0-9]{1,6})w)?(?:([0-9]{1,6})d)?(.*)", re.DOTALL)


def lifetime(text: str) -> int:
    """Nanoseconds that `never` (0) or `ttl=TIME` says. Times are Go's, weeks and days first. Raises FlagValueError."""
    if text == "never":
        return 0
    name, _, value = text.partition("=")
    if name != "ttl":
        raise FlagValueError(f"{text!r} does not say how long a result is good", "write never, or ttl=7d")
    match = _DAYS.match(value)
    assert match is not None  # of what can be empty
    try:
        found = (int(match[1] or 0) * 7 + int(match[2] or 0)) * _DAY
        found += parse_duration(match[3]) if match[3] or not found else 0
    except ValueError:
        found = -1
    if found < 0:
        raise FlagValueError(f"{value!r} is not a duration", "write it as in 90s, 12h, 7d, 1d12h")
    return found
