"""Values as templates meet them: their kinds, when they count as true, how Go prints them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# What is printed for what is not there.
NO_VALUE = "<no value>"


class Fields(Mapping[str, Any]):
    """A value whose fields are known, as of a Go struct: to ask for another is an error.

    `methods` are asked for like fields and take the string that stands behind; JSON leaves them out.
    """

    def __init__(self, values: Mapping[str, Any], methods: Mapping[str, Callable[[str], Any]] | None = None) -> None:
        self._values = values
        self.methods = methods or {}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Pairs(dict[str, str]):
    """Labels of a row: printed and written to JSON as Docker does, `name=value,name=value`, and with fields."""

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.items())


def truth(value: Any) -> bool:
    """Whether a value counts as true: what is not empty and not zero does."""
    return bool(len(value)) if isinstance(value, Mapping) else bool(value)


def listed(value: Any) -> bool:
    """Whether it is a list."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def kind(value: Any) -> str:
    """What a value is, in a word of Go's."""
    if isinstance(value, Fields):
        return "struct"
    for name, types in (("bool", bool), ("int", int), ("float64", float), ("string", str), ("map", Mapping)):
        if isinstance(value, types):
            return name
    return "nil" if value is None else "list" if listed(value) else "function"


def shown(value: Any, inner: bool = False) -> str:
    """A value as Go's %v prints it; of nothing, `<no value>`, and inside of others `<nil>`."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>" if inner else NO_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Pairs):
        return str(value)
    if isinstance(value, Fields):
        return f"{{{' '.join(shown(each, True) for each in value.values())}}}"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{name}:{shown(value[name], True)}' for name in sorted(value))}]"
    if listed(value):
        return f"[{' '.join(shown(each, True) for each in value)}]"
    return str(value)


def number(value: float) -> str:
    """A float as %v has it: as short as can be, with an exponent where that is under -4 or over 5."""
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    digits, _, power = f"{value:.{_shortest(value)}e}".partition("e")
    if -4 <= int(power) <= 5:
        return f"{value:.{max(0, _shortest(value) - int(power))}f}"
    return f"{digits}e{int(power):+03d}"


def _shortest(value: float) -> int:
    """How many digits behind the first make it the same number again."""
    return next(digits for digits in range(17) if float(f"{value:.{digits}e}") == value)


def as_json(value: Any) -> str:
    """A value as JSON in one line."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Pairs):
        return str(value)
    if isinstance(value, Fields):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Mapping):  # Go writes maps in the order of their names
        return {str(name): _plain(value[name]) for name in sorted(value)}
    if listed(value):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float | str) else None
