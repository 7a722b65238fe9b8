"""The answers as documents and as text, in the shapes that `docker buildx build --call` prints."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from builder.errors import PybuildError
from builder.lang.source import Source
from builder.lint.run import Finding

_RULE = "-" * 20


class Document(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Anything of an answer."""


class Position(Document, frozen=True):
    """A line, from 1."""

    line: int


class Range(Document, frozen=True):
    """From a line to a line."""

    start: Position
    end: Position


class Location(Document, frozen=True):
    """Lines of the first source, one range each."""

    ranges: tuple[Range, ...] = ()


class Warning_(Document, frozen=True):
    """A finding."""

    rule_name: str
    description: str
    url: str
    detail: str
    location: Location


class SourceInfo(Document, frozen=True):
    """The text that locations point into; JSON has it in base64."""

    filename: str
    data: bytes
    language: str = ""


class BuildError(Document, frozen=True):
    """What stops a build."""

    message: str
    location: Location


class LintResults(Document, frozen=True, omit_defaults=False):
    """The answer to a check."""

    warnings: tuple[Warning_, ...]
    sources: tuple[SourceInfo, ...]


class FailedResults(LintResults, frozen=True):
    """The same of a file that cannot be built."""

    build_error: BuildError


def location(first: int, last: int) -> Location:
    """The lines from `first` to `last`."""
    return Location(tuple(Range(Position(n), Position(n)) for n in range(first, max(first, last) + 1)))


def document(found: Iterable[Finding], source: Source, error: PybuildError | None) -> LintResults:
    """The findings, and the error if there is one."""
    warnings = tuple(Warning_(f.rule, f.sentence, f.url, f.message, location(f.line, f.end_line)) for f in found)
    sources = (SourceInfo(source.name, source.text.encode(errors="surrogateescape"), "Dockerfile"),)
    if error is None:
        return LintResults(warnings, sources)
    place = location(error.where.line, error.where.line) if error.where else Location()
    return FailedResults(warnings, sources, BuildError(error.message, place))


def text(found: tuple[Finding, ...], source: Source) -> str:
    """The findings with their lines, for people."""
    if not found:
        return "Check complete, no warnings found."
    count = "1 warning has been found!" if len(found) == 1 else f"{len(found)} warnings have been found!"
    lines = source.text.split("\n")
    blocks = [f"Check complete, {count}"]
    for finding in found:
        head = f"WARNING: {finding.rule} - {finding.url}\n{finding.message}"
        blocks.append(f"{head}\n{_excerpt(source.name, lines, finding.line, finding.end_line)}")
    return "\n\n".join(blocks)


def _excerpt(name: str, lines: list[str], first: int, last: int) -> str:
    """The lines of a finding, marked, with up to two (for one line: four) around them."""
    last = min(last, len(lines))
    start, end = _around(first, last, len(lines))
    rows = [
        f" {number:3d} | {'>>>' if first <= number <= last else '   '} {lines[number - 1]}"
        for number in range(start, end + 1)
    ]
    return "\n".join((f"{name}:{first}", _RULE, *rows, _RULE))


def _around(first: int, last: int, count: int) -> tuple[int, int]:
    start, end, room = first, last, 4 if first == last else 2
    while room > 0:
        if start > 1:
            start, room = start - 1, room - 1
        if end < count:
            end, room = end + 1, room - 1
        room -= 1
    return start, end
