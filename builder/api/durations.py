"""Times that users give options: `90s`, `1h30m`, as Go writes them."""

from __future__ import annotations

from builder.errors import UsageError
from builder.graph.gotext import parse_duration


def seconds(text: str, option: str) -> float:
    """The seconds `text` means. Raises UsageError naming `option`, the option with its value."""
    try:
        found = parse_duration(text)
    except ValueError:
        found = -1
    if found < 0:
        raise UsageError(f"{option}: {text!r} is not a duration", hint="write it as in 90s, 24h, 1h30m")
    return found / 1e9
