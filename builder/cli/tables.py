"""Tables on whatever terminal there is: narrow ones, ones without UTF-8, and with names that would steer them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import TextIO

from builder.cli.encoding import SIGNS
from builder.visible import visible

# Between columns, as in Docker's tables
_GAP = 3
# No column of words is made narrower.
_LEAST = 12
# Where a table does not fit into fewer columns than these, each row becomes a paragraph.
_NARROW = 60
_ASCII = str.maketrans(SIGNS)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], shrinks: Collection[str], out: TextIO | None) -> str:
    """The lines of a table as it is shown on `out`; columns headed by one of `shrinks` give way on a terminal."""
    everything = [[fit(cell, out) for cell in row] for row in (head, *rows)]
    columns = terminal_width(out)
    if columns is None or not rows:
        return aligned(everything)
    widths = [max(map(width, column)) for column in zip(*everything, strict=True)]
    over = sum(widths) + _GAP * (len(widths) - 1) - columns
    if over > 0:
        limits = _limits(everything[0], widths, shrinks, over)
        everything = [[cut(cell, limit, out) for cell, limit in zip(row, limits, strict=True)] for row in everything]
        if sum(limits) + _GAP * (len(limits) - 1) > columns and columns < _NARROW:
            rows = [[fit(cell, out) for cell in row] for row in (head, *rows)]
            return _paragraphs(rows, shrinks, columns, out)
    return aligned(everything)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their cells below each other; a row may have fewer cells than others, and its last stands free."""
    widths: list[int] = []
    for row in rows:
        for number, cell in enumerate(row):
            if number == len(widths):
                widths.append(0)
            widths[number] = max(widths[number], width(cell) + _GAP)
    return "\n".join("".join(map(_padded, row, widths)).rstrip() for row in rows)


def _padded(cell: str, columns: int) -> str:
    return cell.ljust(columns) if cell.isascii() else cell + " " * (columns - width(cell))


def _limits(head: Sequence[str], widths: Sequence[int], shrinks: Collection[str], over: int) -> list[int]:
    """How wide each column may be, so that `over` columns of the terminal are saved if that can be."""
    limits = list(widths)
    able = [n for n, heading in enumerate(head) if heading in shrinks]
    while over > 0:
        widest = max(able, key=lambda n: limits[n], default=None)
        if widest is None or limits[widest] <= max(_LEAST, len(head[widest])):
            break
        limits[widest] -= 1
        over -= 1
    return limits


def _paragraphs(rows: Sequence[Sequence[str]], shrinks: Collection[str], columns: int, out: TextIO | None) -> str:
    """A paragraph for each row below the head: a line for each cell, behind its heading; words end where lines do."""
    head, *others = rows
    room = max(_LEAST, columns - max(map(width, head)) - _GAP)
    return "\n\n".join(
        aligned(
            [
                (heading, cut(cell, room, out) if heading in shrinks else cell)
                for heading, cell in zip(head, row, strict=True)
                if cell
            ]
        )
        for row in others
    )


def terminal_width(out: TextIO | None) -> int | None:
    """How many columns the terminal has that `out` is; None where it is none, or has gone."""
    try:
        return (os.get_terminal_size(out.fileno()).columns or None) if out is not None and out.isatty() else None
    except (OSError, ValueError):
        return None


def width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    # lazy: only for what is not ASCII
    from unicodedata import category, east_asian_width

    return sum(0 if category(c) in ("Mn", "Me") else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, columns: int, out: TextIO | None) -> str:
    """The beginning of a text that takes at most `columns`, with a sign that there was more."""
    if width(text) <= columns:
        return text
    more = fit("…", out)
    while text and width(text) + len(more) > columns:
        text = text[:-1]
    return text + more


def fit(text: str, out: TextIO | None, kept: str = "") -> str:
    """A text that can be shown: what would steer a terminal is spelt out, and what `out` cannot write replaced.

    Not spelt out are the characters `kept`.
    """
    text = visible(text, kept)
    if text.isascii() or out is None or _is_utf8(out):
        return text
    encoding = out.encoding
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return text


def fit_json(text: str, out: TextIO | None) -> str:
    r"""JSON that can be shown: with `\u009b` for what would steer a terminal, and for what `out` cannot write."""
    unicode = out is None or _is_utf8(out)
    return "".join(c if c == "\n" or (c.isprintable() and (unicode or c.isascii())) else _unicode(c) for c in text)


def _is_utf8(out: TextIO) -> bool:
    return (out.encoding or "utf-8").lower().replace("-", "") == "utf8"


def _unicode(char: str) -> str:
    data = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{data[at]:02x}{data[at + 1]:02x}" for at in range(0, len(data), 2))
