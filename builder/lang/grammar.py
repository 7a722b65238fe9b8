"""Finds the grammar files: inside the installed package, or at the top of a checkout."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

# Raised when lang/ reads the same text into another tree with an unchanged grammar.
PARSER_VERSION = 6


@cache
def directory() -> Path:
    """The directory of the .lark files."""
    installed = Path(__file__).parent / "grammar"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "grammar"


@cache
def digest() -> str:
    """What a remembered syntax tree depends on besides its text, as hex."""
    state = hashlib.sha256(f"parser {PARSER_VERSION}\n".encode())
    for path in sorted(directory().glob("*.lark")):
        state.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()
