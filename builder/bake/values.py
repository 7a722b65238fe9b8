"""What expressions are worth: text, numbers, truth values, null, lists, objects; and how one becomes another.

As in HCL, whose values are go-cty's: text and numbers and truth values turn into each other where one of them is
wanted, and a number is written without an exponent. A set is a list without doubles, in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from builder.lang.gobool import parse_bool

_NUMBER = re.compile(r"-?[0-9]{1,150}(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
# str, int, float, bool, None, list or Mapping of such.
Value = Any
# Text that templates and functions put together is at most so long: a file that doubles it line by line must not take
# all memory.
LONGEST = 16 << 20
MOST = 100_000


class MeaningError(Exception):
    """What a value cannot be or do; whoever knows the place makes it an error of the file."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def kind(value: Value) -> str:
    """What a value is called in errors."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "list"


def is_number(value: Value) -> bool:
    """Whether it is a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: float) -> int | float:
    """A number, whole where it is."""
    if not isinstance(value, int):
        if value != value or value in (float("inf"), float("-inf")):
            raise MeaningError("the result is no number")
        if value.is_integer() and abs(value) < 1 << 53:
            return int(value)
    elif abs(value) >= 1 << 512:
        raise MeaningError("the result is too large")
    return value


def to_number(value: Value) -> int | float:
    """`value` where a number is wanted."""
    if is_number(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, str):
        whole = _NUMBER.fullmatch(value)
        if whole is not None:
            return number(float(value) if whole[1] or whole[2] else int(value))
    raise MeaningError(f"a number is needed, and this is {_article(value)}")


def to_bool(value: Value) -> bool:
    """`value` where a truth value is wanted."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in ("true", "false", "1", "0"):
        return bool(parse_bool(value))
    raise MeaningError(f"true or false is needed, and this is {_article(value)}")


def to_string(value: Value) -> str:
    """`value` where text is wanted."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return format(Decimal(repr(value)), "f")
        case _:
            raise MeaningError(f"text is needed, and this is {_article(value)}")


def to_list(value: Value) -> list[Value]:
    """`value` where a list is wanted."""
    if isinstance(value, list):
        return value
    raise MeaningError(f"a list is needed, and this is {_article(value)}")


def to_object(value: Value) -> Mapping[str, Value]:
    """`value` where an object is wanted."""
    if isinstance(value, Mapping):
        return value
    raise MeaningError(f"an object is needed, and this is {_article(value)}")


def to_strings(value: Value) -> list[str]:
    """`value` where a list of texts is wanted."""
    return [to_string(one) for one in to_list(value)]


def _article(value: Value) -> str:
    name = kind(value)
    return name if name == "null" else f"{'an' if name[0] == 'o' else 'a'} {name}"


def elements(value: Value) -> list[tuple[Value, Value]]:
    """The keys and values of a list or an object; objects in the order of their keys, as in HCL."""
    match value:
        case Mapping():
            return [(key, value[key]) for key in sorted(value)]
        case list():
            return list(enumerate(value))
        case _:
            raise MeaningError(f"a list or an object is needed, and this is {_article(value)}")


def equal(left: Value, right: Value) -> bool:
    """Whether two values are the same, in kind, too."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return kind(left) == kind(right) and bool(left == right)


def unified(values: Sequence[Value]) -> list[Value]:
    """`values` as one kind: text, where some of them are text and all can be; else as they are."""
    kinds = {kind(value) for value in values} - {"null"}
    if len(kinds) > 1 and kinds <= {"string", "number", "bool"}:
        return [None if value is None else to_string(value) for value in values]
    return list(values)


def distinct(values: Iterable[Value]) -> list[Value]:
    """Without doubles, the first of each."""
    seen, found = set[Any](), list[Value]()
    for value in values:
        frozen = _frozen(value)
        if frozen not in seen:
            seen.add(frozen)
            found.append(value)
    return found


def as_set(values: Sequence[Value]) -> list[Value]:
    """A set of `values`: without doubles, in order."""
    return sorted(distinct(unified(values)), key=order)


def order(value: Value) -> Any:
    """By what values of a set are sorted."""
    if is_number(value):
        return 0, value, ""
    return 1, 0, value if isinstance(value, str) else repr(_frozen(value))


def _frozen(value: Value) -> Any:
    match value:
        case list():
            return "list", tuple(map(_frozen, value))
        case Mapping():
            return "object", tuple((key, _frozen(value[key])) for key in sorted(value))
        case _:
            return kind(value), value


def joined(parts: Iterable[str]) -> str:
    """Texts in one, which must not be too long."""
    texts = list(parts)
    if sum(map(len, texts)) > LONGEST:
        raise MeaningError(f"the text is longer than {LONGEST >> 20} MiB")
    return "".join(texts)
