"""What others say, as it can be shown."""

from __future__ import annotations


def printable(text: str, most: int = 300) -> str:
    """`text` on one line, without what steers terminals, `most` characters of it."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:most]
