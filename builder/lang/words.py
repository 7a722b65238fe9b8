"""Shell words as Dockerfiles have them: quotes, escapes and `${…}`, read with a given environment.

Rules: Dockerfile reference, "Environment replacement". Not here: splitting a line into words (grammar),
and which instruction expands (graph).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from builder.errors import PybuildError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = frozenset("@*#?-$!0123456789")
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


def expand_heredoc(body: str, env: Mapping[str, str], *, escape: str = "\\") -> str:
    """A heredoc body with variables filled in: quotes are text, the escape protects `$` and itself only."""
    if "$" not in body and escape not in body:
        return body
    return _Expander(body, env, escape, quotes=False).all()


class _Expander:
    def __init__(self, text: str, env: Mapping[str, str], escape: str, *, quotes: bool = True) -> None:
        self.text, self.env, self.escape, self.quotes = text, env, escape, quotes
        self.at = 0
        self.depth = 0

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
        if not self.quotes and following not in ("$", self.escape):
            self.at += 1
            return self.escape
        self.at += 2
        return following

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
        if match:
            self.at = match.end()
            return self.env.get(match[0], "")
        if self.text[self.at : self.at + 1] in _SPECIAL and self.at < len(self.text):
            self.at += 1
            return ""
        return "$"

    def _braced(self) -> str:
        start = self.at - 1
        self.depth += 1
        if self.depth > _DEEPEST:
            raise WordError(f"variables are nested deeper than {_DEEPEST}")
        self.at += 1
        match = _NAME.match(self.text, self.at)
        if match:
            name = match[0]
            self.at = match.end()
        elif self.text[self.at : self.at + 1] in _SPECIAL and self.at < len(self.text):
            name = self.text[self.at]
            self.at += 1
        else:
            raise WordError(f"a name must follow ${{: {self.text[start:][:40]}")
        value = self._modified(name, self.env.get(name), start)
        if self.text[self.at : self.at + 1] != "}":
            raise WordError(f"${{ is not closed: {self.text[start:][:40]}")
        self.at += 1
        self.depth -= 1
        return value

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
            greedy = len(rest) == 2 and rest[0] == rest[1]
            self.at += 2 if greedy else 1
            pattern = _glob(self._until("}"), self.escape)
            return _trimmed(value or "", pattern, rest[0], greedy=greedy)
        elif rest[:1] == "/":
            return self._replaced(value or "", every=rest == "//")
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

    def _replaced(self, value: str, *, every: bool) -> str:
        self.at += 2 if every else 1
        pattern = _glob(self._until("/}"), self.escape)
        replacement = ""
        if self.text[self.at : self.at + 1] == "/":
            self.at += 1
            replacement = self._until("}")
        compiled = re.compile(pattern, re.DOTALL)
        return compiled.sub(lambda _: replacement, value, count=0 if every else 1)


def _glob(pattern: str, escape: str) -> str:
    """A shell pattern (`*`, `?`, the escape character) as a regular expression."""
    out, chars = [], iter(pattern)
    for char in chars:
        if char == "*":
            out.append(".*")
        elif char == "?":
            out.append(".")
        elif char == escape:
            out.append(re.escape(next(chars, escape)))
        else:
            out.append(re.escape(char))
    # Adjacent stars mean what one means; left in, they make matching exponential.
    return re.sub(r"(?:\.\*)+", ".*", "".join(out))


def _trimmed(value: str, pattern: str, side: str, *, greedy: bool) -> str:
    """`value` without the shortest (or longest) match of `pattern` at its start (#) or end (%)."""
    compiled = re.compile(pattern, re.DOTALL)
    lengths = range(len(value) + 1)
    for length in reversed(lengths) if greedy else lengths:
        part = value[:length] if side == "#" else value[len(value) - length :]
        if compiled.fullmatch(part):
            return value[length:] if side == "#" else value[: len(value) - length]
    return value
