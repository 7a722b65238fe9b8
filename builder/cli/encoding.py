"""What is written to a terminal, file or pipe that cannot take all characters, or of names that are no text."""

from __future__ import annotations

import codecs
import sys

# What our own signs become where there is no Unicode; anything else becomes its escape.
SIGNS = {"…": "...", "├": "|", "└": "`", "─": "-", "│": "|", "→": "->", "–": "-", "✓": "+", "✗": "x"}
_NAME = "pybuild"


def replaced(error: UnicodeError) -> tuple[str, int]:
    """For the codecs: what stands in for what cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    return "".join(SIGNS.get(c) or c.encode("ascii", "backslashreplace").decode() for c in part), error.end


def forgive() -> None:
    """Have standard output and error replace what they cannot write: a name is no reason to fail."""
    codecs.register_error(_NAME, replaced)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and stream.errors in ("strict", "backslashreplace") and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_NAME)
