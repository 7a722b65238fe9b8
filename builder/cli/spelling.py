"""Words of a command line as Docker's flags may be written, put as click takes them.

A flag may have a value, `--no-cache=false`; and an option that has a `flag_value` may stand alone: `--pull` is then
`--pull=always`, where click would take the next word for its value. A word that is none of an option's is answered with
the nearest that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from builder.errors import LOOSELY, alike
from builder.lang.gobool import parse_bool


class Spelling:
    """Reads `words`, of a command with the options `parameters`; afterwards `off` has the flags that are not to be."""

    def __init__(self, parameters: Sequence[click.Parameter], *, interspersed: bool) -> None:
        options = [parameter for parameter in parameters if isinstance(parameter, click.Option)]
        self._known = {name: option for option in options for name in (*option.opts, *option.secondary_opts)}
        self._interspersed = interspersed
        self.off: set[str] = set()

    def put(self, words: Sequence[str]) -> list[str]:
        """The words for click. Raises BadParameter for a value of a flag that is neither yes nor no."""
        return list(self._put(iter(words)))

    def _put(self, words: Iterator[str]) -> Iterator[str]:
        for word in words:
            if word == "--" or not (word.startswith("-") or self._interspersed):
                yield word
                break  # the rest is for others
            yield from self._option(word, words)
        yield from words

    def _option(self, word: str, following: Iterator[str]) -> Iterator[str]:
        name, equals, value = word.partition("=")
        option = self._known.get(name)
        if option is None:
            yield word
            if self._wants_more(word):
                yield from _next(following)
        elif option.is_flag:
            if self._holds(option, name, value if equals else "true"):
                yield name
        elif equals:
            yield word
        elif isinstance(option.flag_value, str):
            yield f"{name}={option.flag_value}"
        else:
            yield word
            yield from _next(following)

    def _holds(self, option: click.Option, name: str, value: str) -> bool:
        """Whether a flag is set; of several times the last counts."""
        said = parse_bool(value)
        if said is None:
            raise click.BadParameter(f"{value!r} is neither true nor false.", param=option, param_hint=name)
        self.off.discard(str(option.name))
        if not said:
            self.off.add(str(option.name))
        return said

    def _wants_more(self, word: str) -> bool:
        """Whether the next word is the value of the last of the letters in `word`, as in `-qt NAME`."""
        if word.startswith("--") or not word.startswith("-"):
            return False
        for at, letter in enumerate(word[1:], 2):
            option = self._known.get(f"-{letter}")
            if option is None or not option.is_flag:
                return option is not None and at == len(word)
        return False


def _next(words: Iterator[str]) -> Iterator[str]:
    for word in words:
        yield word
        return


class Choice(click.Choice[str]):
    """Its error names the word that was probably meant."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """As click's, and the nearest word."""
        close = alike(str(value), self.choices, LOOSELY)
        said = super().get_invalid_choice_message(value, ctx)
        return f"{said} Did you mean {close!r}?" if close else said
