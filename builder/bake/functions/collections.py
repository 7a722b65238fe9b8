"""Lists, sets and objects."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from builder.bake.functions.declare import Function, anything, known, whole
from builder.bake.values import (
    MOST,
    MeaningError,
    Value,
    as_set,
    distinct,
    elements,
    equal,
    is_number,
    number,
    to_list,
    to_number,
    to_object,
    to_string,
    to_strings,
    unified,
)

# As go-cty has it.
_LONGEST_RANGE = 1024


def _chunked(values: list[Value], size: int) -> Value:
    if size < 0:
        raise MeaningError("the size is not below 0")
    return [values[n : n + size] for n in range(0, len(values), size)] if size else [values]


def _coalesced(*values: Value) -> Value:
    found = next((value for value in unified(values) if value is not None), None)
    if found is None:
        raise MeaningError("all values are null")
    return found


def _coalesced_list(*lists: list[Value]) -> Value:
    found = next((each for each in lists if each), None)
    if found is None:
        raise MeaningError("all lists are empty")
    return found


def _concatenated(*lists: list[Value]) -> Value:
    return _bounded([value for each in lists for value in each])


def _bounded(values: list[Value]) -> list[Value]:
    if len(values) > MOST:
        raise MeaningError(f"the list is longer than {MOST}")
    return values


def _element(values: list[Value], index: int) -> Value:
    if not values or index < 0:
        raise MeaningError("an empty list has no elements" if not values else "the index is not below 0")
    return values[index % len(values)]


def _flattened(values: list[Value]) -> list[Value]:
    return _bounded([one for value in values for one in (_flattened(value) if isinstance(value, list) else [value])])


def _has(of: Value, key: Value) -> bool:
    if isinstance(of, list):
        return is_number(key) and isinstance(key, int) and 0 <= key < len(of)
    return isinstance(key, str) and key in to_object(of)


def _index(of: Value, key: Value) -> Value:
    if not _has(of, key):
        raise MeaningError("there is no such element")
    return of[key]


def _place(values: list[Value], value: Value) -> int:
    for place, one in enumerate(values):
        if equal(one, value):
            return place
    raise MeaningError("the value is not in the list")


def _length(of: Value) -> int:
    return len(elements(of))


def _merged(*objects: Mapping[str, Value] | None) -> Value:
    return {key: value for each in objects if each is not None for key, value in each.items()}


def _range(first: float, second: float | None = None, third: float | None = None) -> Value:
    start, end = (0, first) if second is None else (first, second)
    step = third if third is not None else 1 if start <= end else -1
    if step == 0 or (end != start and (end > start) != (step > 0)):
        raise MeaningError("the step does not lead from the start to the end")
    found: list[Value] = []
    at = start
    while (at < end) if step > 0 else (at > end):
        found.append(number(at))
        at += step
        if len(found) > _LONGEST_RANGE:
            raise MeaningError(f"a range has at most {_LONGEST_RANGE} numbers")
    return found


def _sliced(values: list[Value], start: int, end: int) -> Value:
    if not 0 <= start <= end <= len(values):
        raise MeaningError(f"there is no slice from {start} to {end} of {len(values)} elements")
    return values[start:end]


def _zipped(keys: list[str], values: list[Value]) -> Value:
    if len(keys) != len(values):
        raise MeaningError(f"there are {len(keys)} keys and {len(values)} values")
    return dict(zip(keys, values, strict=True))


# --- sets ----------------------------------------------------------------------------------------


def _in(value: Value, values: list[Value]) -> bool:
    return any(equal(value, one) for one in values)


def _union(*sets: list[Value]) -> Value:
    return as_set([value for each in sets for value in each])


def _intersection(*sets: list[Value]) -> Value:
    return as_set([value for value in sets[0] if all(_in(value, other) for other in sets[1:])])


def _subtracted(first: list[Value], second: list[Value]) -> Value:
    return as_set([value for value in first if not _in(value, second)])


def _symmetric(*sets: list[Value]) -> Value:
    found = sets[0]
    for other in sets[1:]:
        found = [*(v for v in found if not _in(v, other)), *(v for v in other if not _in(v, found))]
    return as_set(found)


def _product(*sets: list[Value]) -> Value:
    size = 1
    for each in sets:
        size *= len(each)
    if size > MOST:
        raise MeaningError(f"the product is longer than {MOST}")
    return [list(row) for row in itertools.product(*sets)]


FUNCTIONS: Mapping[str, Function] = {
    "chunklist": Function(_chunked, (to_list, whole)),
    "coalesce": Function(_coalesced, (anything,), anything),
    "coalescelist": Function(_coalesced_list, (to_list,), to_list),
    "compact": Function(lambda values: [one for one in values if one], (to_strings,)),
    "concat": Function(_concatenated, (to_list,), to_list),
    "contains": Function(lambda values, value: _in(value, values), (to_list, anything)),
    "distinct": Function(distinct, (to_list,)),
    "element": Function(_element, (to_list, whole)),
    "flatten": Function(_flattened, (to_list,)),
    "hasindex": Function(_has, (known, anything)),
    "index": Function(_index, (known, anything)),
    "indexof": Function(_place, (to_list, anything)),
    "keys": Function(lambda of: sorted(of), (to_object,)),
    "length": Function(_length, (known,)),
    "lookup": Function(lambda of, key, default: of.get(key, default), (to_object, to_string, anything)),
    "merge": Function(_merged, (), lambda value: None if value is None else to_object(value)),
    "range": Function(_range, (to_number, to_number, to_number), optional=2),
    "reverselist": Function(lambda values: values[::-1], (to_list,)),
    "sethaselement": Function(lambda values, value: _in(value, values), (to_list, anything)),
    "setintersection": Function(_intersection, (to_list,), to_list),
    "setproduct": Function(_product, (to_list,), to_list),
    "setsubtract": Function(_subtracted, (to_list, to_list)),
    "setsymmetricdifference": Function(_symmetric, (to_list,), to_list),
    "setunion": Function(_union, (to_list,), to_list),
    "slice": Function(_sliced, (to_list, whole, whole)),
    "sort": Function(sorted, (to_strings,)),
    "values": Function(lambda of: [of[key] for key in sorted(of)], (to_object,)),
    "zipmap": Function(_zipped, (to_strings, to_list)),
}
