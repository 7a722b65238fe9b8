"""HCL as a syntax tree: files of blocks and attributes, and their expressions. Each node knows its span."""

from __future__ import annotations

from msgspec import Struct

from builder.lang.source import Source, Span


class Literal(Struct, frozen=True):
    """A number, a truth value, null, or text of a template."""

    value: str | int | float | bool | None
    span: Span


class Template(Struct, frozen=True):
    """A string in quotation marks or a heredoc. One that is a single `${…}` is worth what that is, of whatever type."""

    parts: tuple[Expression, ...]
    span: Span


class TemplateIf(Struct, frozen=True):
    """`%{ if condition }…%{ else }…%{ endif }`."""

    condition: Expression
    then: Template
    otherwise: Template
    span: Span


class TemplateFor(Struct, frozen=True):
    """`%{ for key, value in collection }…%{ endfor }`."""

    names: tuple[str, ...]
    collection: Expression
    body: Template
    span: Span


class Variable(Struct, frozen=True):
    """What a name stands for."""

    name: str
    span: Span


class Attribute(Struct, frozen=True):
    """`of.name`."""

    of: Expression
    name: str
    span: Span


class Index(Struct, frozen=True):
    """`of[key]`."""

    of: Expression
    key: Expression
    span: Span


class Splat(Struct, frozen=True):
    """`of[*].…` or `of.*.…`: `each`, in which `It` is an element, for all elements."""

    of: Expression
    each: Expression
    span: Span


class It(Struct, frozen=True):
    """The element a splat is at."""

    span: Span


class Call(Struct, frozen=True):
    """`name(arguments…)`; `expand`: the last one is a list of more of them."""

    name: str
    arguments: tuple[Expression, ...]
    expand: bool
    span: Span


class Tuple(Struct, frozen=True):
    """`[…]`."""

    items: tuple[Expression, ...]
    span: Span


class Object(Struct, frozen=True):
    """`{ key = value … }`; a key that is a bare name is that name."""

    items: tuple[tuple[Expression, Expression], ...]
    span: Span


class For(Struct, frozen=True):
    """`[for … in collection : value if condition]`, or with `key` an object; `group`: of lists of values."""

    names: tuple[str, ...]
    collection: Expression
    key: Expression | None
    value: Expression
    condition: Expression | None
    group: bool
    span: Span


class Unary(Struct, frozen=True):
    """`-operand`, `!operand`."""

    operator: str
    operand: Expression
    span: Span


class Binary(Struct, frozen=True):
    """`left operator right`."""

    operator: str
    left: Expression
    right: Expression
    span: Span


class Conditional(Struct, frozen=True):
    """`condition ? then : otherwise`."""

    condition: Expression
    then: Expression
    otherwise: Expression
    span: Span


class Parentheses(Struct, frozen=True):
    """`(inner)`."""

    inner: Expression
    span: Span


Expression = (
    Literal
    | Template
    | TemplateIf
    | TemplateFor
    | Variable
    | Attribute
    | Index
    | Splat
    | It
    | Call
    | Tuple
    | Object
    | For
    | Unary
    | Binary
    | Conditional
    | Parentheses
)


class Setting(Struct, frozen=True):
    """`name = value` in a body; `source` is the file it stands in."""

    name: str
    value: Expression
    span: Span
    source: Source


class Body(Struct, frozen=True):
    """What stands in a file or between the braces of a block."""

    settings: tuple[Setting, ...] = ()
    blocks: tuple[Block, ...] = ()

    def setting(self, name: str) -> Setting | None:
        """The setting `name`; the last one where there are several, which only merged files have."""
        return next((one for one in reversed(self.settings) if one.name == name), None)


class Block(Struct, frozen=True):
    """`kind "label"… { body }`; the span is that of its head."""

    kind: str
    labels: tuple[str, ...]
    body: Body
    span: Span
    source: Source
