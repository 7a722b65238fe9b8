"""How `--help` is written: options in sections, examples below them, and the commands of the program in sections.

A command is declared by `command`, with its examples; each is a command line and what it does, and tests have click
read every one of them:

    @command(("pybuild tree app", "list the files of an image"), ("pybuild tree app@2", "those of its second layer"))
    @section("Output", click.option(…), click.option(…))
    @click.option(…)
    def tree(…) -> None:

Options that stand alone, as the last, come first, under "Options"; sections follow in the order they are written in.
Options that commands share (cli/options, cli/registries and so on) bring their section along: a command that uses
`root_option` has --root, and -h, under "Everywhere". A group is declared by `click.group(cls=LazyGroup, …)`; examples
of it are given as `examples=(…)`.

Which section of `pybuild --help` a command of the program stands in is where its row is in cli/words. What a list of
commands says of one is the first sentence of its docstring, or `short`, where that is too long for a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

from builder.cli.defaults import given
from builder.cli.spelling import Spelling
from builder.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

# A command line, and what it does: a sentence that follows on "Do this to".
Example = tuple[str, str]

EVERYWHERE = "Everywhere"
_OWN = "Options"
# Of the column of names: longer ones have a line of their own. Click's, which leaves room for words at 80 columns.
_WIDEST = 30
# Of what lists say of a command; so long that no first sentence is cut.
_LONGEST = 400


class Command(click.Command):
    """With its options in sections, and examples; flags may be written as Docker's (cli/spelling).

    Of a flag that other builders have it says why it has it not (cli/absent).
    """

    def __init__(self, *args: Any, examples: Sequence[Example] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's, with `--flag=true` and `--flag=false` too."""
        spelling = Spelling(self.get_params(ctx), interspersed=ctx.allow_interspersed_args)
        try:
            rest = super().parse_args(ctx, spelling.put(args))
        except click.NoSuchOption as error:
            # lazy: only an error needs it
            from builder.cli.absent import ABSENT

            why, hint = ABSENT.get(str(self.name), {}).get(error.option_name, ("", ""))
            if not why:
                raise
            raise UsageError(f"{error.option_name} is not here: {why}", hint=hint) from None
        ctx.params.update(dict.fromkeys(spelling.off, False))
        return rest

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click's; options that are not among `args` may have values elsewhere, see cli/defaults."""
        return super().make_context(info_name, args, parent, default_map=given(self, parent), **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each section on its own."""
        write_options(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples."""
        write_examples(self.examples, formatter)


def command(
    *examples: Example, name: str | None = None, short: str | None = None, cls: type[Command] = Command, **settings: Any
) -> Callable[[Callable[..., Any]], Command]:
    """As click.command, of a command with `examples`; `short` is what lists of commands say of it."""
    return click.command(name, cls, examples=examples, short_help=short, **settings)


def section(title: str, *options: Callable[[Any], Any]) -> Callable[[F], F]:
    """A decorator: the `options`, in this order, under `title`. Those that have a section of their own keep it."""

    def decorate(function: F) -> F:
        known = len(_declared(function))
        for option in reversed(options):
            function = option(function)
        for parameter in _declared(function)[known:]:
            vars(parameter).setdefault("section", title)
        return function

    return decorate


def section_of(parameter: click.Parameter) -> str:
    """The title of the section an option stands in."""
    everywhere = EVERYWHERE if parameter.name in ("root", "_click_default_help", "help") else _OWN
    return str(getattr(parameter, "section", everywhere))


def by_section(parameters: Iterable[click.Parameter]) -> dict[str, list[click.Option]]:
    """The options among `parameters`: those without a section first, those that all commands have last."""
    found: dict[str, list[click.Option]] = {_OWN: []}
    for parameter in parameters:
        if isinstance(parameter, click.Option):
            found.setdefault(section_of(parameter), []).append(parameter)
    found[EVERYWHERE] = found.pop(EVERYWHERE, [])
    return found


def write_options(parameters: Iterable[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """The options among `parameters`, by section."""
    found = {
        title: [record for option in options if (record := option.get_help_record(ctx)) is not None]
        for title, options in by_section(parameters).items()
    }
    _write_sections(found, formatter)


def write_examples(examples: Sequence[Example], formatter: click.HelpFormatter) -> None:
    """Command lines, each below what it does; they are not wrapped, so that they can be copied."""
    if not examples:
        return
    with formatter.section("Examples"):
        for line, said in examples:
            before = f"{'':>{formatter.current_indent}}# "
            formatter.write(f"{click.wrap_text(said[:1].upper() + said[1:], formatter.width, before, before)}\n")
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def write_commands(
    sections: Mapping[str, Sequence[str]], group: click.Group, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """The commands of `group`, by title."""
    known = {name: group.get_command(ctx, name) for names in sections.values() for name in names}
    found = {
        title: [
            (name, re.sub(r"(?<!\.)\.$", "", command.get_short_help_str(_LONGEST)))
            for name, command in ((name, known[name]) for name in names)
            if command is not None and not command.hidden
        ]
        for title, names in sections.items()
    }
    _write_sections(found, formatter)


def _write_sections(found: Mapping[str, Sequence[tuple[str, str]]], formatter: click.HelpFormatter) -> None:
    """The rows by title; where the second column begins is the same in all."""
    width = min(_WIDEST, max(len(first) for rows in found.values() for first, _ in rows))
    for title, rows in found.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl([(first.ljust(width), second) for first, second in rows], _WIDEST)


def _declared(function: Any) -> list[click.Parameter]:
    found: list[click.Parameter] = getattr(function, "__click_params__", [])
    return found
