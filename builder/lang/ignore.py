"""`.dockerignore`: which paths of a build context do not exist for a build (moby/patternmatcher's rules)."""

from __future__ import annotations

import posixpath
import re

from msgspec import Struct

from builder.errors import BuildfileError
from builder.lang.patterns import translate
from builder.lang.source import Source, Span


class Rule(Struct, frozen=True):
    """One line: `matcher` matches the paths it names and whatever lies below them."""

    pattern: str
    negated: bool
    matcher: re.Pattern[str]


class Ignore(Struct, frozen=True):
    """The rules of an ignore file in order; the last that matches decides."""

    rules: tuple[Rule, ...] = ()
    name: str = ".dockerignore"

    @classmethod
    def parse(cls, text: str, name: str = ".dockerignore") -> Ignore:
        """Read an ignore file. Raises BuildfileError with the line for a bad pattern."""
        rules = []
        source = Source(name, text)
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            if line.startswith("#"):
                continue
            rule = line.strip()
            negated = rule.startswith("!")
            rule = rule.removeprefix("!").strip()
            if not rule and not negated:
                continue
            try:
                rules.append(_rule(rule, negated=negated))
            except BuildfileError as error:
                span = Span(number, 1, number, len(line) + 1)
                raise error.at(source.where(span)) from None
        return cls(tuple(r for r in rules if r is not None), name)

    def excluded(self, path: str) -> bool:
        """Whether `path` (relative, cleaned) is hidden, by a rule for it or for a directory above it."""
        hidden = False
        for rule in self.rules:
            # Only a rule that would change the verdict needs to be tried.
            if hidden == rule.negated and rule.matcher.match(path):
                hidden = not rule.negated
        return hidden

    def may_reinclude_below(self, directory: str) -> bool:
        """Whether something below the hidden `directory` could still be shown by a `!` rule."""
        prefix = directory + "/"
        for rule in self.rules:
            if not rule.negated:
                continue
            fixed = re.split(r"[*?\[\\]", rule.pattern, maxsplit=1)[0]
            if fixed != rule.pattern and (prefix.startswith(fixed) or fixed.startswith(prefix)):
                return True
            if fixed == rule.pattern and fixed.startswith(prefix):
                return True
        return False


NOTHING = Ignore()


def _rule(pattern: str, *, negated: bool) -> Rule | None:
    if not pattern:
        raise BuildfileError("a ! needs a pattern after it")
    clean = posixpath.normpath(pattern).lstrip("/")
    if clean in ("", "."):
        return None
    # A rule for a directory covers all that lies in it.
    expression = translate(clean, double_star=True) + r"(?:/.*)?\Z"
    return Rule(clean, negated, re.compile(expression, re.DOTALL))
