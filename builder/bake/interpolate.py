"""Variables in the text of compose files, `${NAME:-default}` and its like, and files of variables such as `.env`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from builder.bake.values import LONGEST, MeaningError

LookUp = Callable[[str], str | None]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = (":-", ":?", ":+", "-", "?", "+")
_DEEPEST = 50
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_.][\w.\-\[\]]*)\s*(?:([=:])[ \t]*(.*))?", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def interpolated(text: str, look_up: LookUp, missed: Callable[[str], None] = lambda name: None) -> str:
    """`text` with its variables; one that is not there is empty, and `missed` is told. Raises MeaningError."""
    return text if "$" not in text else _Text(text, look_up, missed).read("", 0)


class _Text:
    def __init__(self, text: str, look_up: LookUp, missed: Callable[[str], None]) -> None:
        self.text, self.look_up, self.missed, self.at = text, look_up, missed, 0

    def read(self, end: str, depth: int) -> str:
        """Up to `end`, which is left, or to the end of the text."""
        if depth > _DEEPEST:
            raise MeaningError("variables are nested too deeply")
        said, size = list[str](), 0
        while self.at < len(self.text) and not (end and self.text.startswith(end, self.at)):
            if self.text[self.at] == "$":
                part = self._variable(depth)
            else:
                part = self.text[self.at]
                self.at += 1
            said.append(part)
            size += len(part)
            if size > LONGEST:
                raise MeaningError("the text becomes too long")
        return "".join(said)

    def _variable(self, depth: int) -> str:
        begun = self.at
        self.at += 1
        if self.text.startswith("$", self.at):
            self.at += 1
            return "$"
        name = _NAME.match(self.text, self.at)
        if name is not None:
            self.at = name.end()
            return self._chosen(name[0], "", "")
        if not self.text.startswith("{", self.at):
            raise MeaningError(f"{self.text[begun : begun + 20]!r} is no variable", "write $$ for a $")
        self.at += 1
        return self._braced(begun, depth)

    def _braced(self, begun: int, depth: int) -> str:
        name = _NAME.match(self.text, self.at)
        if name is None:
            raise MeaningError(f"{self.text[begun : begun + 20]!r} is no variable", "write $$ for a $")
        self.at = name.end()
        sign = next((one for one in _OPERATORS if self.text.startswith(one, self.at)), "")
        self.at += len(sign)
        rest = self.read("}", depth + 1) if sign else ""
        if not self.text.startswith("}", self.at):
            raise MeaningError(f"{self.text[begun : begun + 20]!r} is not ended by a }}")
        self.at += 1
        return self._chosen(name[0], sign, rest)

    def _chosen(self, name: str, sign: str, rest: str) -> str:
        value = self.look_up(name)
        there = bool(value) if sign.startswith(":") else value is not None
        match sign[-1:]:
            case "-":
                return (value or "") if there else rest
            case "?" if not there:
                raise MeaningError(f"the variable {name} is missing{f': {rest}' if rest else ''}")
            case "+":
                return rest if there else ""
            case _:
                if value is None:
                    self.missed(name)
                return value or ""


def variables(text: str, look_up: LookUp) -> dict[str, str]:
    """A file of variables: `NAME=VALUE` lines, values perhaps in quotation marks; those of before may be in them.

    Raises MeaningError with the line.
    """
    found: dict[str, str] = {}

    def known(name: str) -> str | None:
        outer = look_up(name)
        return found.get(name) if outer is None else outer

    lines = iter(enumerate(text.removeprefix("\ufeff").splitlines(), 1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise MeaningError(f"line {number} is not NAME=VALUE")
        name, sign, said = match.groups()
        try:
            value = _value(_whole(said, lines), known) if sign else look_up(name)
        except MeaningError as error:
            raise MeaningError(f"line {number}: {error.message}", error.hint) from None
        if value is not None:
            found[name] = value
    return found


def _whole(said: str, lines: Iterator[tuple[int, str]]) -> str:
    """A value with its further lines, where it stands in quotation marks."""
    quote = said[:1]
    while quote in ('"', "'") and not _closed(said, quote):
        following = next(lines, None)
        if following is None:
            raise MeaningError("the value is not ended")
        said += "\n" + following[1]
    return said


def _closed(said: str, quote: str) -> bool:
    return re.match(rf"{quote}(?:[^{quote}\\]|\\.)*{quote}" if quote == '"' else "'[^']*'", said, re.DOTALL) is not None


def _value(said: str, look_up: LookUp) -> str:
    if said.startswith("'"):
        return said[1 : said.index("'", 1)]
    if said.startswith('"'):
        match = re.match(r'"((?:[^"\\]|\\.)*)"', said, re.DOTALL)
        assert match is not None
        body = re.sub(r"\\(.)", lambda m: "$$" if m[1] == "$" else _ESCAPES.get(m[1], m[0]), match[1], flags=re.DOTALL)
        return interpolated(body, look_up)
    return interpolated(re.sub(r"(^|\s)#.*", "", said).strip(), look_up)
