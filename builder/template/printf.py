"""Go's Sprintf, for the values that templates have. What does not fit is said in the text, as Go does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from builder.graph.gotext import quoted, quoted_rune
from builder.template.values import kind, listed, number, shown

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\*|\d+)?(?:\.(?P<precision>\*|\d*))?(?:\[(?P<at>\d{1,4})\])?(?P<verb>.)?", re.DOTALL
)
# Go's own limit of widths and precisions
_MOST = 1_000_000


class _Values:
    """The values in turn; `%[2]d` goes to one by its number, and on from there."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values, self._next = values, 0
        self.reordered = False

    def turn_to(self, number: int) -> None:
        self.reordered, self._next = True, number - 1

    @property
    def left(self) -> Sequence[Any]:
        return self._values[self._next :] if self._next >= 0 else ()

    def take(self) -> Any:
        self._next += 1
        return self._values[self._next - 1]


def printf(form: str, values: Sequence[Any]) -> str:
    """`form` with its verbs replaced by `values`."""
    found = _Values(values)
    text = _VERB.sub(lambda match: _replaced(match, found), form)
    if found.left and not found.reordered:
        text += f"%!(EXTRA {', '.join(map(_told, found.left))})"
    return text


def _told(value: Any) -> str:
    """A value that does not fit, with its kind."""
    return "<nil>" if value is None else f"{kind(value)}={shown(value, inner=True)}"


def _replaced(match: re.Match[str], values: _Values) -> str:
    flags, verb = match["flags"], match["verb"]
    width, wrong = _size(match["width"], values, "WIDTH")
    precision, worse = _size(match["precision"], values, "PREC")
    if width is not None and width < 0:
        flags, width = flags + "-", -width
    if match["at"] is not None:
        values.turn_to(int(match["at"]))
    if verb is None:
        return "%!(NOVERB)"
    if verb == "%":
        return "%"
    if not values.left:
        return f"%!{verb}({'BADINDEX' if match['at'] is not None else 'MISSING'})"
    value = values.take()
    text = _converted(verb, value, flags, precision)
    if text is None:
        return f"{wrong}{worse}%!{verb}({_told(value)})"
    return wrong + worse + _padded(text, flags, width, numeric=kind(value) in ("int", "float64"))


def _size(text: str | None, values: _Values, name: str) -> tuple[int | None, str]:
    """A width or a precision, and what is said where it is none."""
    if text is None:
        return None, ""
    if text == "*":
        value = values.take() if values.left else None
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
    if verb == "T":
        return "<nil>" if value is None else kind(value)
    if verb == "v" and precision is not None and isinstance(value, str | float):
        verb = "s" if isinstance(value, str) else "g"
    if verb == "v":
        return quoted(value) if "#" in flags and isinstance(value, str) else _signed(shown(value, True), value, flags)
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
        return f"%!{verb}({_told(each)})" if text is None else text

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
