"""How a RUN is tried: how often again when it fails, after which wait, and how long it may take."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from builder.graph.gotext import duration, parse_duration

_MOST_RETRIES = 100
_SECOND = 10**9


class Attempts(Struct, frozen=True):
    """`retries` more attempts after one that failed, `delay` nanoseconds later; each may take `timeout` (0: any)."""

    retries: int = 0
    delay: int = 0
    timeout: int = 0


ONCE = Attempts()


class FlagValueError(ValueError):
    """A value of a flag of RUN that cannot be meant so: message and hint; the caller adds where it stands."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def attempts(retry: str | None, timeout: str | None, default: Attempts = ONCE) -> Attempts:
    """What `N[,delay=DURATION]` and a duration say, each over `default`. Durations are Go's. Raises FlagValueError."""
    found = default
    if retry is not None:
        number, *options = retry.split(",")
        if not (number.isascii() and number.isdigit() and int(number[:4]) <= _MOST_RETRIES):
            raise FlagValueError(
                f"{retry!r} does not say how often to try again", f"write a number up to {_MOST_RETRIES}, as in 3"
            )
        found = replace(found, retries=int(number), delay=0)
        for option in options:
            name, _, value = option.partition("=")
            if name != "delay":
                raise FlagValueError(f"there is no option {name!r}", "write it as in 3,delay=5s")
            found = replace(found, delay=_nanoseconds(value))
    return found if timeout is None else replace(found, timeout=_nanoseconds(timeout))


def spoken(nanoseconds: int) -> str:
    """A duration for people: Go's, without the parts that are zero: `10m`, `1.5s`."""
    text = duration(nanoseconds)
    for part in ("0s", "0m"):
        if text.endswith((f"m{part}", f"h{part}")):
            text = text.removesuffix(part)
    return text


def seconds(nanoseconds: int) -> float:
    """A duration as the sandbox takes it."""
    return nanoseconds / _SECOND


def _nanoseconds(text: str) -> int:
    try:
        found = parse_duration(text)
    except ValueError:
        found = -1
    if found < 0:
        raise FlagValueError(f"{text!r} is not a duration", "write it as in 90s, 10m, 1h30m")
    return found
