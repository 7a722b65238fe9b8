"""Types as variables and convert() name them: `string`, `number`, `bool`, `any`, `list(…)`, `set(…)`, `map(…)`,
`tuple([…])`, `object({…})` with `optional(…)`; and values made to be of one.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from builder.bake import syntax
from builder.bake.values import MeaningError, Value, as_set, to_bool, to_list, to_number, to_object, to_string
from builder.errors import BuildfileError
from builder.lang.source import Source

_SIMPLE = ("string", "number", "bool", "any")
_OF_ONE = ("list", "set", "map")


class Type(Struct, frozen=True):
    """`name` with what it is made of: the type of its elements, or of its parts by their names or places.

    `optional` are the parts that need not be there, with what they are worth then.
    """

    name: str
    element: Type | None = None
    parts: tuple[tuple[str, Type], ...] = ()
    optional: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        if self.element is not None:
            return f"{self.name}({self.element})"
        if self.name == "object":
            return f"object({{{', '.join(f'{name}={part}' for name, part in self.parts)}}})"
        if self.name == "tuple":
            return f"tuple([{', '.join(str(part) for _, part in self.parts)}])"
        return self.name


STRING, NUMBER, BOOL, ANY = map(Type, _SIMPLE)


def type_of(node: syntax.Expression, source: Source) -> Type:
    """The type that an expression names. Raises BuildfileError."""
    match node:
        case syntax.Template(parts=(syntax.Literal(value=str(name), span=span),)):
            return type_of(syntax.Variable(name, span), source)  # "string", as JSON and old files have it
        case syntax.Variable(name=name) if name in _SIMPLE:
            return Type(name)
        case syntax.Call(name=name, arguments=(inner,)) if name in _OF_ONE:
            return Type(name, type_of(inner, source))
        case syntax.Call(name="tuple", arguments=(syntax.Tuple(items=items),)):
            return Type("tuple", None, tuple((str(n), type_of(item, source)) for n, item in enumerate(items)))
        case syntax.Call(name="object", arguments=(syntax.Object(items=items),)):
            return _object(items, source)
        case _:
            raise BuildfileError(
                "this is no type",
                where=source.where(node.span),
                hint="there are string, number, bool, any, list(…), set(…), map(…), tuple([…]) and object({…})",
            )


def _object(items: tuple[tuple[syntax.Expression, syntax.Expression], ...], source: Source) -> Type:
    parts, optional = [], []
    for key, node in items:
        name = key.name if isinstance(key, syntax.Variable) else _word(key)
        if isinstance(node, syntax.Call) and node.name == "optional" and 1 <= len(node.arguments) <= 2:
            default = node.arguments[1] if len(node.arguments) == 2 else None
            optional.append((name, None if default is None else _constant(default, source)))
            node = node.arguments[0]
        parts.append((name, type_of(node, source)))
    return Type("object", None, tuple(parts), tuple(optional))


def _word(node: syntax.Expression) -> str:
    match node:
        case syntax.Template(parts=(syntax.Literal(value=str(name)),)):
            return name
        case _:
            return ""


def _constant(node: syntax.Expression, source: Source) -> Value:
    match node:
        case syntax.Literal(value=value):
            return value
        case syntax.Template(parts=()):
            return ""
        case syntax.Template(parts=(syntax.Literal(value=value),)):
            return value
        case syntax.Tuple(items=items):
            return [_constant(item, source) for item in items]
        case syntax.Object(items=items):
            return {
                _word(key) if not isinstance(key, syntax.Variable) else key.name: _constant(value, source)
                for key, value in items
            }
        case _:
            raise BuildfileError("the default of an optional part is a constant", where=source.where(node.span))


def implied(value: Value) -> Type:
    """The type of a value."""
    match value:
        case bool():
            return BOOL
        case int() | float():
            return NUMBER
        case str():
            return STRING
        case list():
            return Type("tuple", None, tuple((str(n), implied(one)) for n, one in enumerate(value)))
        case Mapping():
            return Type("object", None, tuple((key, implied(value[key])) for key in sorted(value)))
        case _:
            return ANY


def converted(value: Value, wanted: Type) -> Value:
    """`value` as one of the type `wanted`. Raises MeaningError."""
    if value is None or wanted.name == "any":
        return value
    match wanted.name:
        case "string":
            return to_string(value)
        case "number":
            return to_number(value)
        case "bool":
            return to_bool(value)
        case "list":
            return [converted(one, wanted.element or ANY) for one in to_list(value)]
        case "set":
            return as_set([converted(one, wanted.element or ANY) for one in to_list(value)])
        case "map":
            return {key: converted(one, wanted.element or ANY) for key, one in to_object(value).items()}
        case "tuple":
            return _tuple(to_list(value), wanted)
        case _:
            return _as_object(to_object(value), wanted)


def _tuple(values: list[Value], wanted: Type) -> list[Value]:
    if len(values) != len(wanted.parts):
        raise MeaningError(f"{len(wanted.parts)} elements are needed, and there are {len(values)}")
    return [converted(one, part) for one, (_, part) in zip(values, wanted.parts, strict=True)]


def _as_object(value: Mapping[str, Value], wanted: Type) -> dict[str, Value]:
    defaults = dict(wanted.optional)
    found: dict[str, Value] = {}
    for name, part in wanted.parts:
        given = value.get(name)
        if given is None and name in defaults:
            found[name] = defaults[name]
        elif name not in value:
            raise MeaningError(f"{name!r} is missing in this object")
        else:
            found[name] = converted(given, part)
    return found
