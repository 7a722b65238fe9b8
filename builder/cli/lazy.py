"""A group of commands that are imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import click

from builder.cli.help import Example, write_commands, write_examples, write_options
from builder.errors import alike

# Of a context's `meta`: the build that the whole command line asks for, as api/answered has it; None for what is none.
ASKED = "builder.api.answered"


class LazyGroup(click.Group):
    """Its `table` is command → module:attribute, so that only what is called is imported.

    Help lists the commands in `sections`, title → their names; else under one title. `examples` as for a command.
    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, str],
        sections: Mapping[str, Sequence[str]] | None = None,
        examples: Sequence[Example] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._table = table
        self.sections = sections
        self.examples = tuple(examples)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command, imported."""
        target = self._table.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, and the options of the group itself."""
        write_commands(self.sections or {"Commands": [*self._table]}, self, ctx, formatter)
        write_options(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples."""
        write_examples(self.examples, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a suggestion for a misspelt command."""
        if args and args[0] not in self._table:
            close = alike(args[0], self._table)
            what = "command" if ctx.parent else "command or directory"
            hint = f" Did you mean {close!r}?" if close else f" See {ctx.command_path} --help."
            raise click.UsageError(f"No such {what}: {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)
