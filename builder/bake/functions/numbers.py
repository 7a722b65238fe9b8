"""Numbers and truth values."""

from __future__ import annotations

import math
from collections.abc import Mapping

from builder.bake.functions.declare import Function, anything, whole
from builder.bake.values import MeaningError, Value, equal, number, to_bool, to_number, to_string
from builder.bake.values import number as result

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
# The bases of parseint, as in Go up to 62; beyond 36 letters count by their case.
_SMALL, _LARGE = 36, 62


def _two(compute: object) -> Function:
    return Function(lambda a, b: result(compute(a, b)), (to_number, to_number))  # type: ignore[operator]


def _compared(compute: object) -> Function:
    return Function(compute, (to_number, to_number))  # type: ignore[arg-type]


def _divided(a: float, b: float) -> float:
    if b == 0:
        raise MeaningError("nothing can be divided by zero")
    return a // b if isinstance(a, int) and isinstance(b, int) and a % b == 0 else a / b


def _modulo(a: float, b: float) -> float:
    if b == 0:
        raise MeaningError("nothing can be divided by zero")
    return math.fmod(a, b)


def _log(a: float, base: float) -> int | float:
    try:
        return number(math.log(a) / math.log(base))
    except (ValueError, ZeroDivisionError) as error:
        raise MeaningError("there is no such logarithm") from error


def _power(a: float, b: float) -> int | float:
    try:
        power = math.pow(a, b)
        # whole numbers exactly, as long as that is no work
        return number(int(a) ** int(b) if isinstance(a, int) and isinstance(b, int) and 0 <= b < 512 else power)
    except (OverflowError, ValueError) as error:
        raise MeaningError("the result is too large, or none") from error


def _parsed(text: Value, base: int) -> int:
    digits = to_string(text)
    if not 2 <= base <= _LARGE:
        raise MeaningError(f"the base is 2 to {_LARGE}")
    letters = _DIGITS if base <= _SMALL else _DIGITS + _DIGITS[10:].upper()
    value, sign = 0, -1 if digits.startswith("-") else 1
    plain = digits.lstrip("+-") if len(digits) < 200 else ""
    for character in plain if base > _SMALL else plain.lower():
        digit = letters.find(character)
        if not 0 <= digit < base:
            plain = ""
            break
        value = value * base + digit
    if not plain or len(digits) - len(plain) > 1:
        raise MeaningError(f"{digits[:40]!r} is no whole number in base {base}")
    return sign * value


FUNCTIONS: Mapping[str, Function] = {
    "absolute": Function(lambda a: result(abs(a)), (to_number,)),
    "add": _two(lambda a, b: a + b),
    "subtract": _two(lambda a, b: a - b),
    "multiply": _two(lambda a, b: a * b),
    "divide": _two(_divided),
    "modulo": _two(_modulo),
    "negate": Function(lambda a: result(-a), (to_number,)),
    "pow": Function(_power, (to_number, to_number)),
    "log": Function(_log, (to_number, to_number)),
    "ceil": Function(math.ceil, (to_number,)),
    "floor": Function(math.floor, (to_number,)),
    "int": Function(math.trunc, (to_number,)),
    "signum": Function(lambda a: (a > 0) - (a < 0), (to_number,)),
    "max": Function(lambda *all_: max(all_), (to_number,), to_number),
    "min": Function(lambda *all_: min(all_), (to_number,), to_number),
    "parseint": Function(_parsed, (anything, whole)),
    "greaterthan": _compared(lambda a, b: a > b),
    "greaterthanorequalto": _compared(lambda a, b: a >= b),
    "lessthan": _compared(lambda a, b: a < b),
    "lessthanorequalto": _compared(lambda a, b: a <= b),
    "equal": Function(equal, (anything, anything)),
    "notequal": Function(lambda a, b: not equal(a, b), (anything, anything)),
    "and": Function(lambda a, b: a and b, (to_bool, to_bool)),
    "or": Function(lambda a, b: a or b, (to_bool, to_bool)),
    "not": Function(lambda a: not a, (to_bool,)),
}
