"""Where in a command line the word stands that is being written: read as click will read it, by what commands say.

It is what completion (cli/complete) goes by.
"""

from __future__ import annotations

from collections.abc import Sequence

import click
from msgspec import Struct
from msgspec.structs import replace

from builder.cli.words import with_default_command

_FOR_BUILD = "OPTIONS OF build"


class Place(Struct, frozen=True):
    """Where in a command line the word stands that is being written.

    `path` are the names of the command. It is the value of `option`, or `argument`, or else the name of an option of
    `parameters` or of a command in `command`. `before` is what of the word stays as it is, `--file=`; `word` the rest.
    `given` are options up to there, by the names they were given by, with their values; `arguments` the arguments.
    """

    command: click.Command
    path: tuple[str, ...]
    word: str
    before: str = ""
    option: click.Option | None = None
    argument: click.Argument | None = None
    given: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    parameters: tuple[click.Parameter, ...] = ()

    def value(self, *names: str) -> str | None:
        """The last value of an option by any of its names."""
        return next((value for name, value in reversed(self.given) if name in names), None)


class _Reader:
    """Reads the words before the last."""

    def __init__(self, program: click.Group) -> None:
        self.program = program
        self.command: click.Command = program
        self.path: tuple[str, ...] = ()
        self.parameters: Sequence[click.Parameter] = program.params
        self.given: list[tuple[str, str]] = []
        self.arguments: list[str] = []
        self.closed = False  # no options any more
        self.pending: tuple[str, click.Option] | None = None  # whose value comes next

    def read(self, word: str) -> bool:
        """Take one word; false where nothing is known of what it means."""
        if self.pending is not None:
            self.given.append((self.pending[0], word))
            self.pending = None
        elif self.closed:
            self.arguments.append(word)
        elif word == "--":
            self.closed = True
        elif word.startswith("-") and word != "-":
            self._option(word)
        elif isinstance(self.command, click.Group):
            return self._enter(self.command, word)
        else:
            self.arguments.append(word)
            self.closed = not self.command.allow_interspersed_args
        return True

    def _enter(self, group: click.Group, name: str) -> bool:
        below = group.get_command(click.Context(group), name)
        if below is None:
            return False
        self.command, self.path = below, (*self.path, name)
        self.parameters = below.params
        if _FOR_BUILD in (getattr(below, "options_metavar", None) or ""):
            build = self.program.get_command(click.Context(self.program), "build")
            assert build is not None
            self.parameters = [*below.params, *build.params]
        return True

    def _option(self, word: str) -> None:
        name, equals, value = word.partition("=")
        if word.startswith("--"):
            option = self.known(name)
            if option is not None and takes_value(option) and not equals:
                self.pending = name, option
            else:
                self.given.append((name, value))
            return
        for at, letter in enumerate(word[1:], 1):
            option = self.known(f"-{letter}")
            if option is None:
                return
            rest = word[at + 1 :]
            if takes_value(option):
                if rest:
                    self.given.append((f"-{letter}", rest.removeprefix("=")))
                else:
                    self.pending = f"-{letter}", option
                return
            self.given.append((f"-{letter}", ""))

    def known(self, name: str) -> click.Option | None:
        """The option of a name."""
        options = (one for one in self.parameters if isinstance(one, click.Option))
        return next((one for one in options if name in (*one.opts, *one.secondary_opts)), None)


def takes_value(option: click.Option) -> bool:
    """Whether the next word is its value."""
    return not option.is_flag and not option.count and not isinstance(option.flag_value, str)


def place(program: click.Group, line: Sequence[str]) -> Place | None:
    """Where the last word of `line`, which lacks the program's own name, stands; None where nothing is known of it."""
    *words, last = line
    reader = _Reader(program)
    if not all(map(reader.read, with_default_command(words) if words else ())):
        return None
    found = Place(
        reader.command,
        reader.path,
        last,
        given=tuple(reader.given),
        arguments=tuple(reader.arguments),
        parameters=tuple(reader.parameters),
    )
    name, equals, value = last.partition("=")
    if reader.pending is not None:
        return replace(found, option=reader.pending[1])
    if not reader.closed and last.startswith("--") and equals:
        option = reader.known(name)
        return None if option is None else replace(found, option=option, before=f"{name}=", word=value)
    if (not reader.closed and last.startswith("-")) or isinstance(reader.command, click.Group):
        return found
    return replace(found, argument=_argument(reader.command, len(reader.arguments)))


def _argument(command: click.Command, number: int) -> click.Argument | None:
    """The argument that the word of this number, from 0 on, belongs to."""
    for argument in (one for one in command.params if isinstance(one, click.Argument)):
        if argument.nargs < 0 or number < argument.nargs:
            return argument
        number -= argument.nargs
    return None
