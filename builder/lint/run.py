"""Applies the rules to a file: which count, which places are excused, and what is reported."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from builder.errors import BuildfileError
from builder.lang import ast
from builder.lang.source import Source, Span
from builder.lint.file import File, Hit, Rule
from builder.lint.options import Options, own
from builder.lint.rules import RULES


class Finding(Struct, frozen=True):
    """A place that breaks a rule, ready to be shown. Lines count from 1 and include the last."""

    rule: str
    sentence: str
    url: str
    message: str
    line: int
    end_line: int


def findings(file: File, options: Options) -> tuple[Finding, ...]:
    """What the rules find in `file`, by line."""
    found = [finding for rule in RULES for finding in _apply(rule, file, options)]
    return tuple(sorted(found, key=lambda finding: finding.line))


def _apply(rule: Rule, file: File, options: Options) -> Iterator[Finding]:
    for hit in rule.check(file):
        here = own(hit.instruction.comments + (hit.cause.comments if hit.cause else ()))
        wanted = options.allows(rule) or (rule.experimental and here.allows(rule))
        if wanted and not here.skips(rule):
            yield _finding(rule, hit)


def _finding(rule: Rule, hit: Hit) -> Finding:
    span = hit.instruction.span
    line, end = (hit.line, hit.line) if hit.line else (span.line, span.end_line)
    return Finding(rule.name, rule.sentence, rule.url, hit.message, line, end)


def options_of(tree: ast.Buildfile, source: Source, given: str | None) -> Options:
    """The options of a file: `given` (the build argument BUILDKIT_DOCKERFILE_CHECK) in place of its directive.

    Raises BuildfileError.
    """
    try:
        return Options.parse(tree.check or "" if given is None else given)
    except BuildfileError as error:
        if given is None and tree.check:
            number = next((n for n, line in enumerate(source.text.split("\n"), 1) if tree.check in line), 1)
            raise error.at(source.where(Span(number, 1, number, len(source.line(number)) + 1))) from None
        raise


def failure(found: tuple[Finding, ...], source: Source) -> BuildfileError:
    """The error that `error=true` makes of findings."""
    rules = ", ".join(dict.fromkeys(finding.rule for finding in found))
    line = found[0].line
    return BuildfileError(
        f"the Buildfile breaks rules: {rules}",
        where=source.where(Span(line, 1, line, len(source.line(line)) + 1)),
        hint="# check=error=true makes findings errors; # pybuild: ignore=RULE above a line excuses it",
    )
