"""How a function is declared: what computes it, and what its arguments are made of first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from builder.bake.values import MeaningError, Value, to_number

Take = Callable[[Value], Any]


class Function(Struct, frozen=True):
    """`compute` of arguments each made of what was given by its one of `takes`; any further ones by `rest`.

    The last `optional` ones may be left out.
    """

    compute: Callable[..., Value]
    takes: tuple[Take, ...] = ()
    rest: Take | None = None
    optional: int = 0

    def call(self, arguments: list[Value]) -> Value:
        """What it gives. Raises MeaningError."""
        fewest = len(self.takes) - self.optional
        if len(arguments) < fewest or (self.rest is None and len(arguments) > len(self.takes)):
            most = "at least " if self.rest is not None or self.optional else ""
            raise MeaningError(f"it takes {most}{fewest} values, and not {len(arguments)}")
        given = [take(argument) for take, argument in zip(self.takes, arguments, strict=False)]
        if self.rest is not None:
            given += [self.rest(argument) for argument in arguments[len(self.takes) :]]
        return self.compute(*given)


def whole(value: Value) -> int:
    """A whole number."""
    found = to_number(value)
    if not isinstance(found, int):
        raise MeaningError("a whole number is needed")
    return found


def anything(value: Value) -> Value:
    """A value as it is."""
    return value


def known(value: Value) -> Value:
    """A value that is not null."""
    if value is None:
        raise MeaningError("this is null")
    return value
