"""Heredocs: found in the line that opens them, their bodies lifted out of the lines that follow."""

from __future__ import annotations

import re

from builder.errors import BuildfileError
from builder.lang.ast import Heredoc
from builder.lang.source import Source, Span

_INSTRUCTION = re.compile(r"(?:ONBUILD\s+)?(?:RUN|COPY|ADD)\s", re.IGNORECASE)
_OPENING = re.compile(r"\d*<<(-?)([^<]+)\Z")


def lift(source: Source, text: str, lines: list[str], index: int, escape: str) -> tuple[tuple[Heredoc, ...], int]:
    """The heredocs that `text` opens, read from `lines[index:]`, and the index after their last line.

    `lines` end as they do in the file, less the newline: a carriage return belongs to the body. Raises
    BuildfileError when one never ends.
    """
    if "<<" not in text or not _INSTRUCTION.match(text):
        return (), index
    found = []
    opening_line = index
    for word in _words(text, escape):
        opened = parse_opening(word)
        if opened is None:
            continue
        name, strip, expand = opened
        body: list[str] = []
        while True:
            if index >= len(lines):
                raise _endless(source, name, opening_line)
            line = lines[index]
            index += 1
            end = line.rstrip("\r")
            if (end.lstrip("\t") if strip else end) == name:
                break
            body.append(line + "\n")
        found.append(Heredoc(name, "".join(body), expand, strip))
    return tuple(found), index


def parse_opening(word: str) -> tuple[str, bool, bool] | None:
    """Name, whether tabs are stripped, whether the body expands; None when `word` opens no heredoc."""
    match = _OPENING.match(word)
    if match is None:
        return None
    raw = match[2]
    name = re.sub(r"""(['"])(.*?)\1""", r"\2", raw)
    if not name or any(c in name for c in "'\""):
        return None
    return name, match[1] == "-", name == raw


def _words(text: str, escape: str) -> list[str]:
    """Split as a shell does, quotes kept."""
    words: list[str] = []
    start, quote, skip = 0, "", False
    for index, char in enumerate(text):
        if skip:
            skip = False
        elif char == escape and quote != "'":
            skip = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace():
            words.append(text[start:index])
            start = index + 1
    return [word for word in [*words, text[start:]] if word]


def _endless(source: Source, name: str, line: int) -> BuildfileError:
    column = max(source.line(line).find(name), 0) + 1
    return BuildfileError(
        f"the heredoc {name} never ends",
        where=source.where(Span(line, column, line, column + len(name))),
        hint=f"write {name} alone on a line after its last line",
    )
