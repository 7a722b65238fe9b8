"""The functions of templates: those of Go's text/template, and those that Docker adds. Each raises ValueError."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from builder.template.printf import printf
from builder.template.values import as_json, kind, listed, shown, truth

_NUMBERS = ("int", "float64")


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise ValueError("eq needs two values")
    return any(_same(first, other) for other in others)


def _same(left: Any, right: Any) -> bool:
    kinds = kind(left), kind(right)
    if "nil" not in kinds and kinds[0] != kinds[1]:
        raise ValueError(f"{kinds[0]} and {kinds[1]} cannot be compared")
    if kinds[0] in ("map", "list", "function"):
        raise ValueError(f"a {kinds[0]} cannot be compared")
    return bool(left == right)


def _less(left: Any, right: Any) -> bool:
    kinds = kind(left), kind(right)
    if kinds[0] != kinds[1] or kinds[0] not in (*_NUMBERS, "string"):
        raise ValueError(f"{kinds[0]} and {kinds[1]} have no order")
    return bool(left < right)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))  # bytes, as in Go
    if isinstance(value, Mapping) or listed(value):
        return len(value)
    raise ValueError(f"a value of kind {kind(value)} has no length")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            if not isinstance(key, str):
                raise ValueError(f"a map is asked for by strings, not by {kind(key)}")
            value = value.get(key, "")
        elif listed(value):
            value = value[_position(key, len(value) - 1)]
        elif isinstance(value, str):
            data = value.encode("utf-8", "surrogateescape")
            value = data[_position(key, len(data) - 1)]
        else:
            raise ValueError(f"a value of kind {kind(value)} has no parts")
    return value


def _position(key: Any, last: int) -> int:
    if not isinstance(key, int) or isinstance(key, bool):
        raise ValueError(f"a list is asked for by numbers, not by {kind(key)}")
    if not 0 <= key <= last:
        raise ValueError(f"{key} is out of range: the last is {last}" if last >= 0 else f"{key}: it is empty")
    return key


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, str) and not listed(value):
        raise ValueError(f"a value of kind {kind(value)} cannot be sliced")
    if len(bounds) > 2:
        raise ValueError("slice takes at most two bounds")
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    begin = _position(bounds[0], len(data)) if bounds else 0
    end = _position(bounds[1], len(data)) if len(bounds) > 1 else len(data)
    if begin > end:
        raise ValueError(f"{begin} lies behind {end}")
    return data[begin:end].decode("utf-8", "replace") if isinstance(data, bytes) else data[begin:end]


def _print(*values: Any) -> str:
    """Go's Sprint: a space between two values of which neither is a string."""
    text = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            text += " "
        text += shown(value, inner=True)
    return text


def _println(*values: Any) -> str:
    return " ".join(shown(value, inner=True) for value in values) + "\n"


def _split(text: Any, separator: Any) -> list[str]:
    text, separator = _string(text, "split"), _string(separator, "split")
    return list(text) if not separator else text.split(separator)


def _join(values: Any, separator: Any) -> str:
    if not listed(values) or not all(isinstance(each, str) for each in values):
        raise ValueError(f"join takes a list of strings, not a {kind(values)}")
    return _string(separator, "join").join(map(str, values))


def _title(text: Any) -> str:
    """Each letter that begins a word as a capital; the others stay."""
    found, inside = "", False
    for char in _string(text, "title"):
        found += char if inside else char.title()
        inside = char.isalnum() or char in "_'"
    return found


def _pad(text: Any, before: Any, after: Any) -> str:
    word = _string(text, "pad")
    return " " * _count(before, "pad") + word + " " * _count(after, "pad") if word else word


def _truncate(text: Any, length: Any) -> str:
    return _string(text, "truncate")[: _count(length, "truncate")]


def _printf(form: Any, *values: Any) -> str:
    return printf(_string(form, "printf"), values)


def _string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} takes a string, not a {kind(value)}")
    return value


def _count(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 10_000:
        raise ValueError(f"{name} takes a number from 0 to 10000, not {shown(value, inner=True)}")
    return value


# name → function, and how many values it takes at least and at most (None: any)
FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int | None]] = {
    "eq": (_equal, 2, None),
    "ne": (lambda left, right: not _same(left, right), 2, 2),
    "lt": (_less, 2, 2),
    "le": (lambda left, right: not _less(right, left), 2, 2),
    "gt": (lambda left, right: _less(right, left), 2, 2),
    "ge": (lambda left, right: not _less(left, right), 2, 2),
    "not": (lambda value: not truth(value), 1, 1),
    "len": (_length, 1, 1),
    "index": (_index, 1, None),
    "slice": (_slice, 1, 3),
    "print": (_print, 0, None),
    "println": (_println, 0, None),
    "printf": (_printf, 1, None),
    "json": (as_json, 1, 1),
    "split": (_split, 2, 2),
    "join": (_join, 2, 2),
    "lower": (lambda text: _string(text, "lower").lower(), 1, 1),
    "upper": (lambda text: _string(text, "upper").upper(), 1, 1),
    "title": (_title, 1, 1),
    "pad": (_pad, 3, 3),
    "truncate": (_truncate, 2, 2),
}
# These take as many values as they need to know: evaluate has them.
SHORT_CIRCUITS = ("and", "or")
NAMES = (*FUNCTIONS, *SHORT_CIRCUITS)
