"""Go's Sprintf, for the values that templates have. What does not fit is said in the text, as Go does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from builder.graph.gotext import quoted, quoted_rune
from builder.template.values import kind, listed, number, shown

_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d*))?(?P<verb>.)?", re.DOTALL)
# Go's own limit of widths and precisions
_MOST = 1_000_000


def printf(form: str, values: Sequence[Any]) -> str:
    """`form` with its verbs replaced by `values`."""
    left = list(values)
    text = _VERB.sub(lambda match: _replaced(match, left), form)
    if left:
        text += f"%!(EXTRA {', '.join(f'{kind(each)}={shown(each, inner=True)}' for each in left)})"
    return text


def _replaced(match: re.Match[str], left: list[Any]) -> str:
    flags, verb = match["flags"], match["verb"]
    width, wrong = _size(match["width"], left, "WIDTH")
    precision, worse = _size(match["precision"], left, "PREC")
    if width is not None and width < 0:
        flags, width = flags + "-", -width
    if verb is None:
        return "%!(NOVERB)"
    if verb == "%":
        return "%"
    if not left:
        return f"%!{verb}(MISSING)"
    value = left.pop(0)
    text = _converted(verb, value, flags, precision)
    if text is None:
        return f"{wrong}{worse}%!{verb}({kind(value)}={shown(value, inner=True)})"
    return wrong + worse + _padded(text, flags, width, numeric=kind(value) in ("int", "float64"))


def _size(text: str | None, left: list[Any], name: str) -> tuple[int | None, str]:
    """A width or a precision, and what is said where it is none."""
    if text is None:
        return None, ""
    if text == "*":
        value = left.pop(0) if left else None
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST:
            return value, ""
        return None, f"%!(BAD{name})"
    size = int(text[:8] or "0")
    return (size, "") if size <= _MOST else (None, f"%!(BAD{name})")


def _padded(text: str, flags: str, width: int | None, *, numeric: bool) -> str:
    if width is None:
        return text
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and numeric:
        sign = text[:1] if text[:1] in ("+", "-") else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _converted(verb: str, value: Any, flags: str, precision: int | None) -> str | None:
    """The value as the verb wants it; None where it does not go with it."""
    if verb in "vsdqxX" and (isinstance(value, Mapping) or listed(value)):
        return _composed(verb, value, flags, precision)
    if verb == "v":
        return quoted(value) if "#" in flags and isinstance(value, str) else _signed(shown(value, True), value, flags)
    if verb == "T":
        return kind(value)
    if isinstance(value, bool):
        return shown(value) if verb == "t" else None
    if isinstance(value, str):
        return _of_string(verb, value, flags, precision)
    if isinstance(value, int):
        return _of_int(verb, value, flags, precision)
    return _of_float(verb, value, flags, precision) if isinstance(value, float) else None


def _composed(verb: str, value: Any, flags: str, precision: int | None) -> str | None:
    """A map or list: the verb is meant for each part."""
    if verb == "v":
        return shown(value)

    def part(each: Any) -> str:
        text = _converted(verb, each, flags, precision)
        return f"%!{verb}({kind(each)}={shown(each, inner=True)})" if text is None else text

    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{part(name)}:{part(value[name])}' for name in sorted(value))}]"
    return f"[{' '.join(map(part, value))}]"


def _of_string(verb: str, value: str, flags: str, precision: int | None) -> str | None:
    value = value if precision is None else value[:precision]
    if verb == "s":
        return value
    if verb == "q":
        return f"`{value}`" if "#" in flags and "`" not in value and value.isprintable() else quoted(value)
    if verb in "xX":
        data = value.encode("utf-8", "surrogateescape")
        text = data.hex(" ") if " " in flags else data.hex()
        return text.upper() if verb == "X" else text
    return None


def _of_int(verb: str, value: int, flags: str, precision: int | None) -> str | None:
    if verb in "efgEFG":
        return None
    if verb in "cqU":
        if not 0 <= value < 0x110000:
            value = 0xFFFD
        return chr(value) if verb == "c" else quoted_rune(value) if verb == "q" else f"U+{value:04X}"
    forms = {"d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
    if verb not in forms:
        return None
    prefix = {"O": "0o", "x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "") if "#" in flags or verb == "O" else ""
    digits = format(abs(value), forms[verb]).rjust(precision or 0, "0")
    return _signed(f"{'-' if value < 0 else ''}{prefix}{digits}", value, flags)


def _of_float(verb: str, value: float, flags: str, precision: int | None) -> str | None:
    if verb not in "efgEFG":
        return None
    if verb in "gG" and precision is None:
        text = number(value)
        return _signed(text.upper() if verb == "G" else text, value, flags)
    return _signed(format(value, f".{6 if precision is None else precision}{verb}"), value, flags)


def _signed(text: str, value: Any, flags: str) -> str:
    """With a plus or a space before what is not negative, where flags ask for it."""
    if kind(value) not in ("int", "float64") or value < 0:
        return text
    return f"+{text}" if "+" in flags else f" {text}" if " " in flags else text
