"""Parser directives: `# syntax=`, `# escape=`, `# check=` at the very top (Dockerfile reference)."""

from __future__ import annotations

import re

from msgspec import Struct

from builder.errors import BuildfileError
from builder.lang.source import Source, Span

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+)")
_KNOWN = frozenset({"syntax", "escape", "check"})


class Directives(Struct, frozen=True):
    """What the directives say. `lines` is how many lines they take."""

    escape: str = "\\"
    syntax: str | None = None
    check: str | None = None
    lines: int = 0


def read(source: Source, lines: list[str]) -> Directives:
    """Read the directives of a file. Raises BuildfileError for a repeated one or a bad escape."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _DIRECTIVE.match(line.strip())
        name = match[1].lower() if match else ""
        if match is None or name not in _KNOWN:
            break
        span = Span(number, 1, number, len(line) + 1)
        if name in found:
            raise BuildfileError(f"only one {name} directive is allowed", where=source.where(span))
        if name == "escape" and match[2] not in ("\\", "`"):
            raise BuildfileError(f"escape must be \\ or `, not {match[2]!r}", where=source.where(span))
        found[name] = match[2]
    return Directives(found.get("escape", "\\"), found.get("syntax"), found.get("check"), len(found))
