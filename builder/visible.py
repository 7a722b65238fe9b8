"""What others say, as characters that can be seen: names, output and messages may hold what steers terminals.

Spelt out, by their escapes, are control characters, those that turn the direction of writing, and all else that shows
nothing; and bytes that were no UTF-8 (surrogateescape).
"""

from __future__ import annotations


def visible(text: str, kept: str = "") -> str:
    """`text` with what cannot be seen spelt out, but for the characters `kept`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in kept else _spelt(char) for char in text)


def _spelt(char: str) -> str:
    r"""`\x1b`, `\u202e`; of a byte that was no UTF-8, `\xff`."""
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
