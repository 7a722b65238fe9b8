"""What a template says, as a tree. `at` is the character of its text at which each begins."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Text(Struct, frozen=True):
    """Text that stands for itself."""

    text: str


class Literal(Struct, frozen=True):
    """A constant: a string, a number, true, false or nil."""

    at: int
    value: Any


class Dot(Struct, frozen=True):
    """The value at hand."""

    at: int


class Variable(Struct, frozen=True):
    """`$name`; `$` alone is the value the template was given."""

    at: int
    name: str


class Name(Struct, frozen=True):
    """A function, which stands for what it gives."""

    at: int
    name: str


class Field(Struct, frozen=True):
    """`.name` of a value."""

    at: int
    of: Operand
    name: str


class Command(Struct, frozen=True):
    """A function or a value, and what it is handed."""

    at: int
    words: tuple[Operand, ...]


class Pipeline(Struct, frozen=True):
    """Commands, each handed the result of the one before; with `names` it sets variables, new ones if `declares`."""

    at: int
    commands: tuple[Command, ...]
    names: tuple[str, ...] = ()
    declares: bool = False


class Show(Struct, frozen=True):
    """`{{pipeline}}`."""

    pipeline: Pipeline


class If(Struct, frozen=True):
    """`{{if}}`, or `{{with}}`, which makes the value the one at hand."""

    pipeline: Pipeline
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]
    enters: bool = False


class Range(Struct, frozen=True):
    """`{{range}}`."""

    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


class Leave(Struct, frozen=True):
    """`{{break}}`, or with `on` `{{continue}}`."""

    on: bool


Operand = Literal | Dot | Variable | Name | Field | Pipeline
Node = Text | Show | If | Range | Leave
