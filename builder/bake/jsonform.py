"""Bake files in JSON, as the same syntax tree as those in HCL. Strings are templates there, too."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from builder.bake import syntax
from builder.bake.parser import parse_template
from builder.bake.tokens import Places
from builder.errors import BuildfileError
from builder.lang.source import Source, Span

# How many names a block has; all else is a setting.
_LABELS = {"target": 1, "group": 1, "variable": 1, "function": 1}
_INNER = {"variable": {"validation": 0}}
_TOKEN = re.compile(
    r'[ \t\r\n]*(?:(?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")|(?P<mark>[{}\[\],:])'
    r"|(?P<word>[A-Za-z0-9+.\-]+)|(?P<end>$)|.)",
    re.DOTALL,
)
_DEEPEST = 100
T = TypeVar("T", bound=Struct)


def parse(source: Source) -> syntax.Body:
    """The syntax tree of a file. Raises BuildfileError with the place."""
    reader = _Reader(source)
    whole = reader.value()
    reader.ended()
    if not isinstance(whole, syntax.Object):
        raise reader.error("a bake file is an object", whole.span)
    return reader.body(whole, _LABELS)


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source, self.at, self.depth = source, 0, 0
        self.places = Places(source.text)

    def error(self, message: str, span: Span) -> BuildfileError:
        return BuildfileError(message, where=self.source.where(span))

    # --- JSON ------------------------------------------------------------------------------------

    def _token(self) -> tuple[str, str, int, int]:
        match = _TOKEN.match(self.source.text, self.at)
        assert match is not None
        self.at = match.end()
        kind = match.lastgroup or ""
        start = match.start(kind) if kind else match.end() - 1
        if not kind:
            raise self.error("this does not belong here", self.places.span(start, start + 1))
        return kind, match[kind], start, match.end()

    def _peeked(self) -> str:
        at = self.at
        _, text, _, _ = self._token()
        self.at = at
        return text

    def _mark(self, *wanted: str) -> tuple[str, int]:
        _, text, start, end = self._token()
        if text not in wanted:
            raise self.error(f"{' or '.join(wanted)} is needed here", self.places.span(start, max(end, start + 1)))
        return text, end

    def ended(self) -> None:
        kind, _, start, end = self._token()
        if kind != "end":
            raise self.error("the file is to end here", self.places.span(start, end))

    def value(self) -> syntax.Expression:
        """A value as an expression."""
        kind, text, start, end = self._token()
        span = self.places.span(start, max(end, start + 1))
        if kind == "string":
            return self._string(text, start, end)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error("this is nested too deeply", span)
        try:
            if text == "{":
                return self._object(start)
            if text == "[":
                return self._list(start)
        finally:
            self.depth -= 1
        try:
            if kind != "word" or not re.fullmatch(r"true|false|null|-?[0-9].*", text):
                raise ValueError
            literal = json.loads(text)
        except ValueError:
            raise self.error("a value is needed here", span) from None
        return syntax.Literal(int(literal) if isinstance(literal, float) and literal.is_integer() else literal, span)

    def _string(self, text: str, start: int, end: int) -> syntax.Template:
        span = self.places.span(start, end)
        try:
            said = json.loads(text)
            said.encode()  # half of a character is none
        except ValueError as error:
            raise self.error(f"this is no string: {error}", span) from None
        if "\\" not in text:
            return replace(parse_template(self.source, start + 1, end - 1), span=span)
        # What is written with escapes has other places than what is meant: all of it is said to be at the string.
        try:
            found = parse_template(Source(self.source.name, said), 0, len(said))
        except BuildfileError as error:
            raise BuildfileError(error.message, where=self.source.where(span), hint=error.hint) from None
        return _at(found, span)

    def _object(self, start: int) -> syntax.Object:
        pairs = list[tuple[syntax.Expression, syntax.Expression]]()
        if self._peeked() == "}":
            return syntax.Object((), self.places.span(start, self._mark("}")[1]))
        while True:
            kind, text, begin, end = self._token()
            if kind != "string":
                raise self.error(
                    "a name in quotation marks is needed here", self.places.span(begin, max(end, begin + 1))
                )
            self._mark(":")
            pairs.append((self._string(text, begin, end), self.value()))
            mark, last = self._mark(",", "}")
            if mark == "}":
                return syntax.Object(tuple(pairs), self.places.span(start, last))

    def _list(self, start: int) -> syntax.Tuple:
        items = list[syntax.Expression]()
        if self._peeked() == "]":
            return syntax.Tuple((), self.places.span(start, self._mark("]")[1]))
        while True:
            items.append(self.value())
            mark, last = self._mark(",", "]")
            if mark == "]":
                return syntax.Tuple(tuple(items), self.places.span(start, last))

    # --- blocks ----------------------------------------------------------------------------------

    def body(self, of: syntax.Object, labels: Mapping[str, int]) -> syntax.Body:
        """An object as a body, in which the names in `labels` are blocks with so many names of their own."""
        settings, blocks = dict[str, syntax.Setting](), list[syntax.Block]()
        for key, value in of.items:
            name = self._name(key)
            if name in labels:
                blocks += self._blocks(name, labels[name], value, (), key.span)
            elif name != "//":  # a comment, in JSON for HCL
                settings[name] = syntax.Setting(name, value, key.span, self.source)
        return syntax.Body(tuple(settings.values()), tuple(blocks))

    def _blocks(
        self, kind: str, more: int, value: syntax.Expression, labels: tuple[str, ...], span: Span
    ) -> list[syntax.Block]:
        if isinstance(value, syntax.Tuple):
            return [block for item in value.items for block in self._blocks(kind, more, item, labels, span)]
        if not isinstance(value, syntax.Object):
            raise self.error(f"{kind} is an object, with an object for each name", value.span)
        if not more:
            return [syntax.Block(kind, labels, self.body(value, _INNER.get(kind, {})), span, self.source)]
        return [
            block
            for key, inner in value.items
            for block in self._blocks(kind, more - 1, inner, (*labels, self._name(key)), key.span)
        ]

    def _name(self, key: syntax.Expression) -> str:
        assert isinstance(key, syntax.Template)
        if all(isinstance(part, syntax.Literal) for part in key.parts):
            return "".join(str(part.value) for part in key.parts if isinstance(part, syntax.Literal))
        raise self.error("a name has no ${…} in it", key.span)


def _at(node: T, span: Span) -> T:
    """`node` with this span, and all that is in it."""
    changes: dict[str, Any] = {"span": span}
    for name in node.__struct_fields__:
        value = getattr(node, name)
        if name != "span" and isinstance(value, Struct | tuple):
            changes[name] = _inner(value, span)
    return replace(node, **changes)


def _inner(value: Any, span: Span) -> Any:
    if isinstance(value, tuple):
        return tuple(_inner(one, span) for one in value)
    return _at(value, span) if isinstance(value, Struct) else value
