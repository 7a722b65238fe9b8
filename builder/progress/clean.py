"""What others print, made harmless: a step may not move the cursor, name the terminal, or write over what stands there.

Lines are kept as a terminal would leave them: of progress bars, which return to the line's beginning, what came last.
"""

from __future__ import annotations

import os
import re

from builder.visible import visible

# Sequences of ECMA-48 (with those of xterm): control sequences, strings up to their end, and all other escapes. 8-bit
# forms, which are code points in UTF-8, too.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)([0-?]*)[ -/]*([@-~])"
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|(?=\x1b)|$)"
    r"|\x1b[ -/]*[0-~]?"
)
_COLOR = re.compile("[0-9;:]*")
# Tabs; and what joins characters and shows nothing itself: emoji, and scripts that need it.
_KEPT = "\t\u200c\u200d"
_RESET = "\x1b[0m"


def may_color() -> bool:
    """Whether colours are wanted, as NO_COLOR (no-color.org) and CLICOLOR say."""
    return not os.environ.get("NO_COLOR") and os.environ.get("CLICOLOR", "1") != "0"


def clean(text: str) -> str:
    """`text`, one line, as characters that can be seen, and tabs."""
    return text if text.isprintable() else visible(_last(_SEQUENCE.sub("", text)), _KEPT)


def colored(text: str) -> str:
    """As `clean`, but colours stay, and end with the line."""
    if "\x1b[" not in text or "\b" in text:  # a backspace would eat into what stays, and make something else of it
        return clean(text)
    parts, at, colors = [], 0, False
    for found in _SEQUENCE.finditer(text):
        parts.append(text[at : found.start()])
        at = found.end()
        if found[2] == "m" and _COLOR.fullmatch(found[1]):
            parts.append(f"\x1b[{found[1]}m")
            colors = True
    parts.append(text[at:])
    kept = visible(_last("".join(parts)), _KEPT + "\x1b")
    return kept + _RESET if colors and not kept.endswith(_RESET) else kept


def _last(line: str) -> str:
    """What stands in `line` in the end: after the last return to its beginning, and what backspaces left."""
    if "\r" in line:
        line = next((piece for piece in reversed(line.split("\r")) if piece.strip()), "")
    if "\b" not in line:
        return line
    left: list[str] = []
    for char in line:
        if char != "\b":
            left.append(char)
        elif left:
            left.pop()
    return "".join(left)
