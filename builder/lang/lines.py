"""Physical lines to logical lines: comments dropped, continuations joined, heredoc bodies taken along.

A logical line remembers where each of its parts came from, so that an error points into the file.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from msgspec import Struct

from builder.lang import heredoc
from builder.lang.ast import Heredoc
from builder.lang.source import Source, Span


class LogicalLine(Struct):
    """One instruction's text, with the segments it was joined from: (offset, line, column).

    `comments` are those of the lines right above; `blank` as in ast.Written.
    """

    text: str
    segments: list[tuple[int, int, int]]
    last_line: int
    last_column: int
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()
    blank: int = 0

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column in the file of `offset` in the text."""
        index = max(0, bisect_right(self.segments, (offset, 1 << 60, 0)) - 1)
        start, line, column = self.segments[index]
        return line, column + offset - start

    def span(self, start: int = 0, end: int | None = None) -> Span:
        """The span of the text from `start` to `end`; the whole instruction when `end` is None."""
        line, column = self.position(start)
        if end is None:
            return Span(line, column, self.last_line, self.last_column)
        end_line, end_column = self.position(max(start, end - 1))
        return Span(line, column, end_line, end_column + 1)


def logical(source: Source, raw: list[str], first: int, escape: str) -> Iterator[LogicalLine]:
    """The logical lines of `raw[first:]`, lines as they are split at newlines.

    Raises BuildfileError for a heredoc without its end.
    """
    lines = [line.rstrip("\r") for line in raw]
    if not lines[-1]:
        lines.pop()  # what follows the last newline is no line
    continued = re.compile(rf"(?<!{re.escape(escape)}){re.escape(escape)}[ \t]*\Z")
    index = first
    comments: list[str] = []
    while index < len(lines):
        stripped = lines[index].strip()
        if not stripped or stripped.startswith("#"):
            comment = stripped[1:].strip()
            if comment:
                comments.append(comment)
            else:
                # An empty line or an empty comment parts what stands above from the instruction.
                comments.clear()
            index += 1
            continue
        line, index = _join(lines, index, continued)
        line.comments, comments = tuple(comments), []
        line.heredocs, index = heredoc.lift(source, line.text, raw, index, escape)
        if line.heredocs:
            line.last_line, line.last_column = index, len(lines[index - 1]) + 1
        yield line


def _join(lines: list[str], index: int, continued: re.Pattern[str]) -> tuple[LogicalLine, int]:
    first = lines[index]
    column = len(first) - len(first.lstrip())
    parts: list[str] = []
    segments: list[tuple[int, int, int]] = []
    blank = False
    offset, text, start = 0, first[column:], column
    while True:
        match = continued.search(text)
        part = text[: match.start()] if match else text
        segments.append((offset, index + 1, start + 1))
        parts.append(part)
        offset += len(part)
        last = index
        index += 1
        if match is None:
            break
        while index < len(lines) and _skipped(lines[index]):
            blank = blank or not lines[index].strip()
            index += 1
        if index >= len(lines):
            break
        text, start = lines[index], 0
    joined = "".join(parts).rstrip()
    end = len(lines[last].rstrip()) + 1
    return LogicalLine(joined, segments, last + 1, end, blank=index if blank else 0), index


def _skipped(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith("#")
