"""Go's ways of writing values, where an image's history or config shows them: durations, %q, %v."""

from __future__ import annotations

import re

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(?=\.?[0-9])([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as `1m30s` (time.ParseDuration). Raises ValueError."""
    body = text.lstrip("+-")
    if len(text) - len(body) > 1 or (body != "0" and not _PART.match(body)):
        raise ValueError(text)
    total, position = 0, 0
    while body != "0" and position < len(body):
        part = _PART.match(body, position)
        if part is None:
            raise ValueError(text)
        # Nineteen digits are more than fit; the fraction is multiplied as a float, and so may be one off, in Go too.
        whole, fraction, unit = part[1].lstrip("0"), (part[2] or "")[:18], _UNITS[part[3]]
        total += int(whole[:20] or "0") * unit + int(int(fraction or "0") * (unit / 10 ** len(fraction)))
        position = part.end()
    if total > 2**63 - 1:
        raise ValueError(text)
    return -total if text.startswith("-") else total


def duration(nanoseconds: int) -> str:
    """A duration as Go's Duration.String prints it: `1m30s`, `1.5s`, `100ms`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 10**9:
        unit = next(u for u in ("ms", "µs", "ns") if nanoseconds >= _UNITS[u])
        return f"{_trim(nanoseconds, _UNITS[unit])}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h" if hours else ""
    return f"{head}{minutes}m{_trim(rest, 10**9)}s" if hours or minutes else f"{_trim(rest, 10**9)}s"


def _trim(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = str(fraction).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def quoted(text: str) -> str:
    """A string in Go's %q."""
    return '"' + "".join(_escaped(c, '"') for c in text) + '"'


def quoted_list(words: tuple[str, ...]) -> str:
    """A []string in Go's %q: `["a" "b"]`."""
    return "[" + " ".join(map(quoted, words)) + "]"


def quoted_rune(value: int) -> str:
    r"""An int in Go's %q, which takes it for a character: 3 is `'\x03'`."""
    return "'" + _escaped(chr(value), "'") + "'"


def _escaped(char: str, quote: str) -> str:
    if char == quote:
        return "\\" + quote
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
