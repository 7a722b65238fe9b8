"""format() and formatlist(), whose verbs are those of go-cty, which are nearly those of C."""

from __future__ import annotations

import re

from builder.bake.functions.encoding import to_json
from builder.bake.values import MeaningError, Value, joined, to_number, to_string

_VERB = re.compile(
    r"%(?P<flags>[ +\-#0]*)(?P<width>\d+)?(?:\.(?P<precision>\d+))?(?:\[(?P<index>\d+)\])?(?P<verb>.)", re.S
)
_WIDEST = 1024


def formatted(form: str, *values: Value) -> str:
    """`form` with its verbs filled in. Raises MeaningError."""
    said, at, last = list[str](), 0, 0
    next_ = 0
    explicit = False
    for match in _VERB.finditer(form):
        said.append(form[last : match.start()])
        last = match.end()
        if match["verb"] == "%":
            said.append("%")
            continue
        at = int(match["index"]) - 1 if match["index"] else next_
        explicit = explicit or bool(match["index"])
        if not 0 <= at < len(values):
            raise MeaningError(f"{match[0]} has no value: there are {len(values)}")
        said.append(_verb(match, values[at]))
        next_ = at + 1
    rest = form[last:]
    if "%" in rest:
        raise MeaningError("a % stands at the end", hint="%% is a %")
    if not explicit and next_ < len(values):
        raise MeaningError(f"there are {len(values)} values, and verbs for {next_}")
    return joined([*said, rest])


def formatted_list(form: str, *values: Value) -> list[Value]:
    """A text for each element of the lists among `values`, which are as long as each other."""
    lengths = {len(value) for value in values if isinstance(value, list)}
    if len(lengths) > 1:
        raise MeaningError("the lists are not as long as each other")
    count = lengths.pop() if lengths else 1
    return [formatted(form, *(v[n] if isinstance(v, list) else v for v in values)) for n in range(count)]


def _verb(match: re.Match[str], value: Value) -> str:
    verb, flags = match["verb"], match["flags"]
    width, precision = int(match["width"] or 0), match["precision"]
    if width > _WIDEST or int(precision or 0) > _WIDEST:
        raise MeaningError(f"{match[0]} is too wide")
    if verb in "sqv":
        text = _general(verb, flags, value)
        if verb != "v" and precision:
            text = text[: int(precision)]
        if ("#" in flags and verb == "v") or "0" not in flags or "-" in flags:
            return text.ljust(width) if "-" in flags else text.rjust(width)
        return text.rjust(width, "0")
    if verb == "t":
        return ("true" if value is True or value == "true" else _boolean(value)).rjust(width)
    if verb in "bdoxXeEfgG":
        return _number(verb, flags.replace("-", "<"), width, precision, value)
    raise MeaningError(f"{match[0]} is not known", hint="there are %s, %q, %v, %#v, %t, %d, %b, %o, %x, %e, %f, %g")


def _general(verb: str, flags: str, value: Value) -> str:
    if verb == "q":
        return to_json(to_string(value))
    if verb == "v" and ("#" in flags or isinstance(value, list | dict) or value is None):
        return to_json(value)
    return to_string(value)


def _boolean(value: Value) -> str:
    if value is False or value == "false":
        return "false"
    raise MeaningError("%t needs true or false")


def _number(verb: str, flags: str, width: int, precision: str | None, value: Value) -> str:
    number: int | float = to_number(value)
    if verb in "bdoxX":
        if not isinstance(number, int):
            raise MeaningError(f"%{verb} needs a whole number")
        precision = None
    align = "<" if "<" in flags else ""
    sign = "+" if "+" in flags else " " if " " in flags else ""
    zero = "0" if "0" in flags and not align else ""
    spec = f"{align}{sign}{'#' if '#' in flags and verb in 'box' else ''}{zero}{width or ''}"
    shortest = verb in "gG" and precision is None
    if shortest:
        return format(to_string(number), f"{align or '>'}{width or ''}")
    return format(number, f"{spec}{'.' + precision if precision else ''}{verb}")
