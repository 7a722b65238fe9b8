"""Shell words as Dockerfiles have them: quotes, escapes and `${…}`, read with a given environment.

Rules: Dockerfile reference, "Environment replacement". Not here: splitting a line into words (grammar),
and which instruction expands (graph).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from builder.errors import PybuildError
from builder.lang.shellpattern import LONGEST, BadPatternError, ShellPattern

# A name, or digits, or one of the shell's special parameters; the latter two are never set here.
_NAME = re.compile(r"[^\W\d]\w*|\d+|[@*#?\-$!]")
_DEEPEST = 100


class WordError(PybuildError):
    """A word that cannot be read; the caller adds the place."""

    exit_code = 3


def expand(word: str, env: Mapping[str, str], *, escape: str = "\\") -> str:
    """`word` with quotes and escapes taken away and variables filled in; unset ones are empty.

    Raises WordError for unclosed quotes and braces, bad modifiers, and `${name:?message}`.
    """
    if not any(char in word for char in ("$", "'", '"', escape)):
        return word
    return _Expander(word, env, escape).all()


def expand_heredoc(body: str, env: Mapping[str, str]) -> str:
    """A heredoc body with variables filled in: quotes are text, a backslash protects whatever follows it.

    The `# escape=` directive has no say in it.
    """
    if "$" not in body and "\\" not in body:
        return body
    return _Expander(body, env, "\\", quotes=False).all()


class _Expander:
    def __init__(self, text: str, env: Mapping[str, str], escape: str, *, quotes: bool = True) -> None:
        self.text, self.env, self.escape, self.quotes = text, env, escape, quotes
        self.at = 0
        self.depth = 0
        self.filled = 0
        self.raw = False

    def all(self) -> str:
        return self._until("")

    def _until(self, stop: str) -> str:
        """Read up to (not including) a character of `stop` outside quotes; to the end when empty."""
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in stop:
                break
            out.append(self._piece(char))
        return "".join(out)

    def _piece(self, char: str) -> str:
        if char == "$":
            return self._dollar()
        if char == self.escape:
            return self._escaped()
        if self.quotes and char == "'":
            return self._single()
        if self.quotes and char == '"':
            return self._double()
        self.at += 1
        return char

    def _escaped(self) -> str:
        following = self.text[self.at + 1 : self.at + 2]
        self.at += 2
        return self.escape + following if self.raw else following

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise WordError(f"a single quote is not closed: {self.text[self.at :][:40]}")
        inner = self.text[self.at + 1 : end]
        self.at = end + 1
        return inner

    def _double(self) -> str:
        start = self.at
        self.at += 1
        out: list[str] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return "".join(out)
            if char == "$":
                out.append(self._dollar())
            elif char == self.escape:
                following = self.text[self.at + 1 : self.at + 2]
                kept = "" if following in ('"', "$", self.escape) else char
                out.append(kept + following)
                self.at += 2
            else:
                out.append(char)
                self.at += 1
        raise WordError(f"a double quote is not closed: {self.text[start:][:40]}")

    def _dollar(self) -> str:
        self.at += 1
        if self.text[self.at : self.at + 1] == "{":
            return self._braced()
        match = _NAME.match(self.text, self.at)
        if match is None:
            return "$"
        self.at = match.end()
        return self._filled(self.env.get(match[0], ""))

    def _filled(self, value: str) -> str:
        """`value`, counted: thirty ENV that each double the one before must not take all memory."""
        self.filled += len(value)
        if self.filled > LONGEST:
            raise WordError(f"variables make a word longer than {LONGEST} characters")
        return value

    def _braced(self) -> str:
        start = self.at - 1
        self.depth += 1
        if self.depth > _DEEPEST:
            raise WordError(f"variables are nested deeper than {_DEEPEST}")
        self.at += 1
        match = _NAME.match(self.text, self.at)
        if match is None:
            raise WordError(f"a name must follow ${{: {self.text[start:][:40]}")
        name = match[0]
        self.at = match.end()
        value = self._modified(name, self.env.get(name), start)
        if self.text[self.at : self.at + 1] != "}":
            raise WordError(f"${{ is not closed: {self.text[start:][:40]}")
        self.at += 1
        self.depth -= 1
        return self._filled(value)

    def _modified(self, name: str, value: str | None, start: int) -> str:
        rest = self.text[self.at : self.at + 2]
        if rest[:1] == "}":
            return value or ""
        if rest[:1] in (":", "-", "+", "?"):
            colon = rest[:1] == ":"
            operator = rest[1:] if colon else rest[:1]
            if operator in ("-", "+", "?") and operator:
                self.at += 2 if colon else 1
                return self._conditional(name, value, operator, empty_is_unset=colon)
        elif rest[:1] in ("#", "%"):
            longest = len(rest) == 2 and rest[0] == rest[1]
            self.at += 2 if longest else 1
            pattern = self._pattern(self._raw_until("}"))
            return pattern.trimmed(value or "", suffix=rest[0] == "%", longest=longest)
        elif rest[:1] == "/":
            return self._replaced(value or "", start, every=rest == "//")
        raise WordError(f"unsupported modifier in {self.text[start:][:40]}")

    def _conditional(self, name: str, value: str | None, operator: str, *, empty_is_unset: bool) -> str:
        word = self._until("}")
        there = value is not None and not (empty_is_unset and value == "")
        if operator == "-":
            return (value or "") if there else word
        if operator == "+":
            return word if there else ""
        if there:
            return value or ""
        raise WordError(f"{name}: {word or 'is not set'}")

    def _replaced(self, value: str, start: int, *, every: bool) -> str:
        self.at += 2 if every else 1
        pattern = self._pattern(self._raw_until("/"))
        if self.text[self.at : self.at + 1] != "/":
            raise WordError(f"a / and what to put there is missing in {self.text[start:][:40]}")
        self.at += 1
        text = self._raw_until("}")
        try:
            return pattern.replaced(value, text, every=every)
        except OverflowError as error:
            raise WordError(str(error)) from error

    def _raw_until(self, stop: str) -> str:
        """As `_until`, the escapes left in: they mean something in patterns."""
        before, self.raw = self.raw, True
        try:
            return self._until(stop)
        finally:
            self.raw = before

    def _pattern(self, text: str) -> ShellPattern:
        try:
            return ShellPattern(text, self.escape)
        except BadPatternError as error:
            raise WordError(f"{error} is no escape in a pattern: only *, ?, / and }} need one") from error
