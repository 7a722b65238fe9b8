"""What a template's nodes come to, given a value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from builder.errors import UsageError, alike
from builder.template.functions import FUNCTIONS, NAMES, SHORT_CIRCUITS
from builder.template.lexer import wrong
from builder.template.nodes import (
    Command,
    Dot,
    Field,
    If,
    Leave,
    Literal,
    Name,
    Node,
    Operand,
    Pipeline,
    Range,
    Show,
    Text,
    Variable,
)
from builder.template.parser import parse
from builder.template.values import Fields, kind, listed, shown, truth

_NOTHING = object()


class Template:
    """A template, read once; raises UsageError with the place of what is wrong."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._nodes = parse(source, NAMES)

    def check(self, names: Sequence[str]) -> None:
        """Raise UsageError if it asks a value that has just these fields for another, even if it never comes to it."""
        for field in asked(self._nodes, dot=True):
            if field.name not in names:
                raise unknown(self.source, field, names)

    def __call__(self, value: Any, functions: Mapping[str, Callable[..., Any]] | None = None) -> str:
        """Its text for a value; `functions` stand in for those of their names. Raises UsageError."""
        return "".join(_Run(self.source, value, functions or {}).all(self._nodes, value))


class _Left(Exception):
    """`break` or `continue` on its way to its range."""

    def __init__(self, on: bool) -> None:
        super().__init__()
        self.on = on


class _Run:
    def __init__(self, source: str, top: Any, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.source, self.functions = source, functions
        self.variables: list[tuple[str, Any]] = [("$", top)]

    def wrong(self, at: int, message: str, hint: str | None = None) -> UsageError:
        return wrong(self.source, at, message, hint=hint)

    def all(self, nodes: Sequence[Node], dot: Any) -> Iterator[str]:
        """The text of nodes; their variables end with them."""
        known = len(self.variables)
        for node in nodes:
            match node:
                case Text(text=text):
                    yield text
                case Show(pipeline=pipeline):
                    value = self.pipeline(pipeline, dot)
                    if not pipeline.names:
                        yield self.printed(pipeline, value)
                case If():
                    yield from self.chosen(node, dot)
                case Range():
                    yield from self.each(node, dot)
                case Leave(on=on):
                    del self.variables[known:]
                    raise _Left(on)
        del self.variables[known:]

    def printed(self, pipeline: Pipeline, value: Any) -> str:
        if callable(value):
            raise self.wrong(pipeline.at, "this needs something behind it")
        return shown(value)

    def chosen(self, node: If, dot: Any) -> Iterator[str]:
        known = len(self.variables)
        value = self.pipeline(node.pipeline, dot)
        if truth(value):
            yield from self.all(node.then, value if node.enters else dot)
        else:
            yield from self.all(node.otherwise, dot)
        del self.variables[known:]

    def each(self, node: Range, dot: Any) -> Iterator[str]:
        value = self.pipeline(node.pipeline, dot, sets=False)
        none = True
        for key, one in self.items(node, value):
            none, known = False, len(self.variables)
            self.set(node.pipeline, (one,) if len(node.pipeline.names) < 2 else (key, one))
            try:
                yield from self.all(node.body, one)
            except _Left as left:
                if not left.on:
                    break
            finally:
                del self.variables[known if node.pipeline.declares else len(self.variables) :]
        if none:
            yield from self.all(node.otherwise, dot)

    def items(self, node: Range, value: Any) -> Iterable[tuple[Any, Any]]:
        if value is None:
            return ()
        if isinstance(value, Mapping) and not isinstance(value, Fields):
            return ((name, value[name]) for name in sorted(value))
        if listed(value):
            return enumerate(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return ((number, number) for number in range(value))
        raise self.wrong(node.pipeline.at, f"range goes over lists and maps; this is a {kind(value)}")

    def pipeline(self, pipeline: Pipeline, dot: Any, sets: bool = True) -> Any:
        """The value of a pipeline; `sets` its variables."""
        value: Any = _NOTHING
        for command in pipeline.commands:
            value = self.command(command, dot, value)
        if sets:
            self.set(pipeline, (value,))
        return value

    def set(self, pipeline: Pipeline, values: Sequence[Any]) -> None:
        for name, value in zip(pipeline.names, values, strict=False):
            if pipeline.declares:
                self.variables.append((name, value))
            else:
                at = max(n for n, (known, _) in enumerate(self.variables) if known == name)
                self.variables[at] = (name, value)

    def command(self, command: Command, dot: Any, last: Any) -> Any:
        """What a command gives that is handed `last` too, unless that is nothing."""
        first, given = command.words[0], command.words[1:]
        if isinstance(first, Name):
            return self.call(first, given, dot, last)
        value = self.operand(first, dot)
        if not given and last is _NOTHING:
            return value
        handed = [self.operand(word, dot) for word in given] + ([] if last is _NOTHING else [last])
        if not callable(value):
            raise self.wrong(command.at, "this is no function: it cannot be handed anything")
        if len(handed) != 1 or not isinstance(handed[0], str):
            raise self.wrong(command.at, "this is handed one string")
        return value(*handed)

    def call(self, name: Name, given: Sequence[Operand], dot: Any, last: Any = _NOTHING) -> Any:
        if name.name in SHORT_CIRCUITS:
            return self.short(name, given, dot, last)
        values = [self.operand(word, dot) for word in given] + ([] if last is _NOTHING else [last])
        function, least, most = FUNCTIONS[name.name]
        if len(values) < least or (most is not None and len(values) > most):
            wanted = str(least) if least == most else f"at least {least}" if most is None else f"{least} to {most}"
            raise self.wrong(name.at, f"{name.name} takes {wanted} values, not {len(values)}")
        return self.called(name.at, self.functions.get(name.name, function), values)

    def short(self, name: Name, given: Sequence[Operand], dot: Any, last: Any) -> Any:
        """`and` and `or`: the first value that decides, or else the last; what stands behind is not looked at."""
        if not given and last is _NOTHING:
            raise self.wrong(name.at, f"{name.name} takes at least 1 value, not 0")
        value: Any = last
        for word in given:
            value = self.operand(word, dot)
            if truth(value) == (name.name == "or"):
                return value
        return value if last is _NOTHING else last

    def called(self, at: int, function: Callable[..., Any], values: Sequence[Any]) -> Any:
        try:
            return function(*values)
        except ValueError as error:
            raise self.wrong(at, str(error)) from None

    def operand(self, word: Operand, dot: Any) -> Any:
        match word:
            case Literal(value=value):
                return value
            case Dot():
                return dot
            case Variable(name=name):
                return next(value for known, value in reversed(self.variables) if known == name)
            case Name():
                return self.call(word, (), dot)
            case Pipeline():
                return self.pipeline(word, dot)
            case Field(of=of):
                return self.field(word, self.operand(of, dot))

    def field(self, field: Field, value: Any) -> Any:
        if isinstance(value, Fields):
            if field.name in value.methods:
                return value.methods[field.name]
            if field.name not in value:
                raise unknown(self.source, field, [*value, *value.methods])
            return value[field.name]
        if isinstance(value, Mapping):
            return value.get(field.name)
        if value is None:
            return None
        raise self.wrong(field.at, f"a {kind(value)} has no field .{field.name}")


def unknown(source: str, field: Field, known: Sequence[str]) -> UsageError:
    """What is said of a field that is none of those known."""
    names = {name.lower(): name for name in known}
    close = alike(field.name.lower(), names)
    hint = f"did you mean .{names[close]}?" if close else f"there are {', '.join(f'.{n}' for n in known)}"
    return wrong(source, field.at, f"there is no field .{field.name}", hint=hint, width=len(field.name) + 1)


def asked(nodes: Iterable[Node | Operand | Command], *, dot: bool) -> Iterator[Field]:
    """The fields that are asked of the value a template is given, through `$`, and with `dot` through the dot too."""
    for node in nodes:
        match node:
            case Field(of=of):
                if (isinstance(of, Variable) and of.name == "$") or (dot and isinstance(of, Dot)):
                    yield node
                yield from asked([of], dot=dot)
            case Command(words=words):
                yield from asked(words, dot=dot)
            case Pipeline(commands=commands):
                yield from asked(commands, dot=dot)
            case Show(pipeline=pipeline):
                yield from asked([pipeline], dot=dot)
            case If(pipeline=pipeline, then=then, otherwise=otherwise, enters=enters):
                yield from asked([pipeline, *otherwise], dot=dot)
                yield from asked(then, dot=dot and not enters)
            case Range(pipeline=pipeline, body=body, otherwise=otherwise):
                yield from asked([pipeline, *otherwise], dot=dot)
                yield from asked(body, dot=False)
            case Text() | Leave() | Literal() | Dot() | Variable() | Name():
                pass  # which ask for no field
