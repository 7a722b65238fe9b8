"""A Buildfile's text with its lines, and spans in it. Not here: reading it from disk (sources)."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from builder.errors import Where


class Span(Struct, frozen=True, array_like=True):
    """From (line, column) to (end_line, end_column), all counted from 1; the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


class Source(Struct, frozen=True):
    """Text under the name it is shown by in errors (`Buildfile`, `<stdin>`)."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """Line `number` (from 1) without its newline; empty when there is none."""
        lines = _lines(self.text)
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""

    def where(self, span: Span) -> Where:
        """The place of `span`, ready for an error."""
        one_line = span.line == span.end_line
        width = max(1, span.end_column - span.column) if one_line else 1
        return Where(self.name, span.line, span.column, self.line(span.line), width)


@lru_cache(maxsize=4)
def _lines(text: str) -> list[str]:
    """Cut once: every instruction asks for its line."""
    return text.split("\n")
