"""`lock`: what the sources of a Buildfile mean, written down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder.cli.help import Command, command
from builder.cli.options import lock_file_option, offline_option, progress_option, session
from builder.cli.recipe import arguments_of, contexts_of, recipe_options
from builder.cli.registries import creds_option, registry_options
from builder.request import BuildRequest, RegistryOptions

if TYPE_CHECKING:
    from builder.api.lock import Change, Locked

# Of --check, when something means something else by now; as with `plan --exit-code`.
OUTDATED = 10
_ALL = ""
_DIGITS = 12


class _Lock(Command):
    """With `--update` alone beside `--update NAME`: what follows it is PATH if it is a directory."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        given = args[:end]
        for at, word in enumerate(given):
            following = given[at + 1] if at + 1 < end else "-"
            if word == "--update" and (following.startswith("-") or Path(following).is_dir()):
                given[at] = f"--update={_ALL}"
        return super().parse_args(ctx, given + args[end:])


@command(
    ("pybuild lock .", "write Buildfile.lock"),
    ("pybuild lock --update alpine .", "take what one image means now"),
    ("pybuild lock --check .", "find out, in CI, whether it would change"),
    short="Pin what images, URLs and git references stand for",
    cls=_Lock,
)
@recipe_options
@lock_file_option
@click.option(
    "--update",
    multiple=True,
    metavar="[NAME]",
    help="Take what NAME means now; alone: what everything means. May be given often.",
)
@click.option("--add", is_flag=True, help="Keep what is in the lock and is not named now.")
@click.option("--check", is_flag=True, help=f"Write nothing; end with {OUTDATED} when --update would change the lock.")
@registry_options
@creds_option
@offline_option
@progress_option
def lock(
    root: str | None,
    update: tuple[str, ...],
    add: bool,
    check: bool,
    progress: str,
    registries: RegistryOptions,
    build_args: tuple[str, ...],
    source_date_epoch: str,
    build_contexts: tuple[str, ...],
    **recipe: Any,
) -> None:
    """Write Buildfile.lock: what images, URLs and git references stand for, so that builds take that and nothing newer.

    All stages are looked at, or what --target needs.
    """
    # lazy: the command's own imports, so that --help is fast
    from builder.api import lock as api

    if check and (update or add):
        raise click.UsageError("--check changes nothing: --update and --add do not go with it.")
    request = BuildRequest(
        build_args=arguments_of(build_args, source_date_epoch), contexts=contexts_of(build_contexts), **recipe
    )
    moved = None if not update else () if _ALL in update else update
    with session(root, progress, registries) as opened:
        found = api.outdated(opened, request) if check else api.lock(opened, request, update=moved, add=add)
    for line in _lines(found, check=check):
        click.echo(line)
    if check and found.changes:
        click.get_current_context().exit(OUTDATED)


def _lines(found: Locked, *, check: bool) -> Iterator[str]:
    yield from map(_line, found.changes)
    count = f"{found.pins} {'pin' if found.pins == 1 else 'pins'}"
    if check:
        state = "outdated" if found.changes else "up to date"
        yield f"{found.path}: {count}, {state}"
        return
    fixed = f"; {len(found.fixed)} more need none: {', '.join(found.fixed)}" if found.fixed else ""
    yield f"{found.path}: {count}{fixed}"


def _line(change: Change) -> str:
    if change.old is None or change.new is None:
        sign, said = ("+", change.new) if change.old is None else ("-", change.old)
        return f"{sign} {change.kind} {change.name}  {_short(said or '')}"
    return f"  {change.kind} {change.name}  {_short(change.old)} → {_short(change.new)}"


def _short(said: str) -> str:
    """A digest or a commit with as many digits as people compare."""
    kind, colon, digits = said.rpartition(":")
    return f"{kind}{colon}{digits[:_DIGITS]}"
