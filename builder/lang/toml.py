"""Where a TOML text is wrong, by what tomllib says of it. Not here: what may stand in it (config, sources/lockfile)."""

from __future__ import annotations

import re

from builder.errors import Where

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")


def wrong(path: str, text: str, error: Exception) -> tuple[str, Where]:
    """What tomllib's `error` says, without the place, and the place in the text of the file `path`."""
    said = str(error)
    at = _AT.search(said)
    lines = text.splitlines() or [""]
    number, column = (int(at[1]), int(at[2])) if at and at[1] else (len(lines), 1)
    number = min(number, len(lines))
    return _AT.sub("", said), Where(path, number, column, lines[number - 1])
