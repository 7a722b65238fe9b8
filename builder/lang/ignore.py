"""`.dockerignore`: which paths of a build context do not exist for a build (moby/patternmatcher's rules).

A rule decides about the paths it matches and about all below them. As BuildKit walks a context from the top,
a directory hands the rules that matched it down to what lies in it: so does `Ignore`, directory by directory.
"""

from __future__ import annotations

import posixpath
import re

from msgspec import Struct, field

from builder.errors import BuildfileError
from builder.lang.patterns import translate
from builder.lang.source import Source, Span


class Rule(Struct, frozen=True):
    """One line: `text` as written, `pattern` cleaned; `matcher` matches the paths it names, whole."""

    pattern: str
    negated: bool
    matcher: re.Pattern[str]
    line: int
    text: str


class Ignore(Struct, frozen=True):
    """The rules of an ignore file in order; the last that matches decides.

    `name` is the file's, as shown to people, `text` what is in it; None where there is no such file.
    """

    rules: tuple[Rule, ...] = ()
    name: str = ".dockerignore"
    text: str | None = None
    # For each directory asked about, which rules matched it or one above: most paths have siblings.
    directories: dict[str, tuple[bool, ...]] = field(default_factory=dict)
    # For each such tuple, whether what lies there is hidden, and by which expression a rule says otherwise.
    verdicts: dict[tuple[bool, ...], tuple[bool, re.Pattern[str] | None]] = field(default_factory=dict)

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
            pattern = rule.removeprefix("!").strip()
            if not pattern and not negated:
                continue
            try:
                rules.append(_rule(pattern, negated, number, rule))
            except BuildfileError as error:
                span = Span(number, 1, number, len(line) + 1)
                raise error.at(source.where(span)) from None
        return cls(tuple(r for r in rules if r is not None), name, text)

    def excluded(self, path: str) -> bool:
        """Whether `path` (relative, cleaned) is hidden, by a rule for it or for a directory above it.

        The last rule that matches decides. So one of those that matched above does, unless a later one of the other
        sign matches: all these are asked at once, and only where one does, one by one.
        """
        if not self.rules:
            return False
        above = self._directory(path.rpartition("/")[0])
        verdict = self.verdicts.get(above)
        if verdict is None:
            verdict = self.verdicts[above] = self._verdict(above)
        hidden, others = verdict
        return hidden if others is None or others.match(path) is None else self.hiding(path) is not None

    def hiding(self, path: str) -> Rule | None:
        """The rule that hides `path`; None when it is shown."""
        return self._judge(path, []) if self.rules else None

    def place(self, rule: Rule) -> str:
        """Where one of these rules stands, for people: `.dockerignore:3 (*.log)`."""
        return f"{self.name}:{rule.line} ({rule.text})"

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

    def _verdict(self, above: tuple[bool, ...]) -> tuple[bool, re.Pattern[str] | None]:
        last = max((index for index, matched in enumerate(above) if matched), default=-1)
        hidden = last >= 0 and not self.rules[last].negated
        others = [rule.matcher.pattern for rule in self.rules[last + 1 :] if rule.negated == hidden]
        return hidden, re.compile("|".join(others), re.DOTALL) if others else None

    def _judge(self, path: str, matched: list[bool]) -> Rule | None:
        """As `hiding`; tells in `matched` which rules matched."""
        above = self._directory(path.rpartition("/")[0])
        hidden: Rule | None = None
        for index, rule in enumerate(self.rules):
            # Only a rule that would change the verdict is tried, so one that is not tried hands nothing down.
            match = above[index] or ((hidden is not None) == rule.negated and rule.matcher.match(path) is not None)
            matched.append(match)
            if match:
                hidden = None if rule.negated else hidden or rule
        return hidden

    def _directory(self, path: str) -> tuple[bool, ...]:
        known = self.directories.get(path)
        if known is None:
            matched: list[bool] = []
            if path:
                self._judge(path, matched)
            known = self.directories[path] = tuple(matched) or (False,) * len(self.rules)
        return known


def _rule(pattern: str, negated: bool, line: int, text: str) -> Rule | None:
    if not pattern:
        raise BuildfileError("a ! needs a pattern after it")
    clean = posixpath.normpath(pattern).lstrip("/")
    if clean in ("", "."):
        return None
    expression = translate(clean, double_star=True) + r"\Z"
    return Rule(clean, negated, re.compile(expression, re.DOTALL), line, text)
