"""Variables: what the command line or the environment makes of their defaults, and how they are listed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from builder.bake import syntax
from builder.bake.entries import cut
from builder.bake.functions.encoding import to_json
from builder.bake.types import STRING, Type, converted, implied, type_of
from builder.bake.values import MeaningError, Value, to_number, to_string
from builder.lang.gobool import parse_bool

VARIABLE_KEYS = ("default", "description", "type")
# A variable with this after its name is read as JSON, as buildx does.
_JSON = "_JSON"


class Shown(Struct, frozen=True):
    """A variable as it is listed. `value` is None for null."""

    name: str
    type: str
    value: str | None
    description: str = ""

    @classmethod
    def of(cls, name: str, value: Value, wanted: Type | None, description: str) -> Shown:
        """A variable with its value as text."""
        text = None if value is None else to_json(value) if isinstance(value, list | Mapping) else to_string(value)
        return cls(name, "" if wanted is None else str(wanted), text, description)


def type_of_variable(block: syntax.Block) -> Type | None:
    """The type that a variable says it has. Raises BuildfileError."""
    setting = block.body.setting("type")
    return None if setting is None else type_of(setting.value, setting.source)


def from_environment(
    name: str,
    default: Value,
    wanted: Type | None,
    look_up: Callable[[str], str | None],
    *,
    has_default: bool,
    as_json: bool,
) -> Value:
    """The value of a variable: what `look_up` says, read as the type it has or as that of its default; else `default`.

    `as_json`: one with a type may come as JSON, under its name and `_JSON`. Raises MeaningError.
    """
    if wanted is not None and has_default:
        default = _converted(name, default, wanted, "its default")
    document = look_up(name + _JSON) if wanted is not None and as_json else None
    if wanted is not None and document is not None:
        return _converted(name, _from_json(name, document), wanted, f"{name}{_JSON}")
    text = look_up(name)
    if text is None:
        return default if has_default or wanted is not None else ""
    if wanted is None:
        wanted = STRING if not has_default or default is None else implied(default)
        if wanted.name not in ("string", "number", "bool"):
            hint = "give it a type, such as type = list(string)"
            raise MeaningError(f"{name} has no type, and its default is no text, number or truth value", hint)
    return _converted(name, _read(name, text, wanted), wanted, "the environment")


def _converted(name: str, value: Value, wanted: Type, whence: str) -> Value:
    try:
        return converted(value, wanted)
    except MeaningError as error:
        raise MeaningError(f"{name} is to be {wanted}, and {whence} does not fit: {error.message}") from None


def _read(name: str, text: str, wanted: Type) -> Value:
    match wanted.name:
        case "bool":
            value = parse_bool(text)
            if value is None:
                raise MeaningError(f"{name} is true or false, and not {text!r}")
            return value
        case "number":
            try:
                return to_number(text)
            except MeaningError:
                raise MeaningError(f"{name} is a number, and not {text!r}") from None
        case "list" | "set" if wanted.element is not None and not wanted.element.parts and not wanted.element.element:
            return [_read(name, part, wanted.element) for part in _cut(text)]
        case "tuple":
            parts = _cut(text)
            if len(parts) != len(wanted.parts):
                raise MeaningError(f"{name} is to be {wanted}, and has {len(parts)} parts")
            return [_read(name, part, one) for part, (_, one) in zip(parts, wanted.parts, strict=True)]
        case "map" if wanted.element is not None and not wanted.element.parts and not wanted.element.element:
            return dict(_pair(name, part, wanted.element) for part in _cut(text))
        case "string" | "any":
            return text
        case _:
            raise MeaningError(f"{name} is {wanted}, which is no text", f"give it as JSON, in {name}{_JSON}")


def _cut(text: str) -> list[str]:
    return cut(text) if text else []


def _pair(name: str, text: str, wanted: Type) -> tuple[str, Value]:
    key, colon, value = text.partition(":")
    if not colon or ":" in value:
        raise MeaningError(f"{name}: {text!r} is not NAME:VALUE")
    return key, _read(name, value, wanted)


def _from_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MeaningError(f"{name} is to be JSON: {error}") from error
