"""`verify-reproducible`: a build done twice and compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from builder.cli.build import request_from
from builder.cli.help import command
from builder.cli.listing import echo_document
from builder.cli.options import JSON, TABLE, format_option, root_option, session

if TYPE_CHECKING:
    from builder.api.reproducible import StepUnlike, Verified

_UNLIKE = 1


@command(
    ("pybuild verify-reproducible .", "find out what differs from build to build"),
    ("pybuild verify-reproducible --target app --json .", "do so for one stage, for programs"),
    short="Build twice, and say what is not the same",
    name="verify-reproducible",
    context_settings={"ignore_unknown_options": True},
    options_metavar="[OPTIONS] [OPTIONS OF build]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PATH]")
@click.option("--second-root", metavar="DIR", help="Where to put the second build's store, for the time of the build.")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@format_option
@root_option
def verify(arguments: tuple[str, ...], second_root: str | None, as_json: bool, form: str, root: str | None) -> None:
    """Build twice with nothing cached, here and elsewhere, and say what is not the same. Takes the options of build.

    Ends with 1 when something differs.
    """
    from builder.api.reproducible import verify as run

    request, progress, registries = request_from("verify-reproducible", arguments, "compare")
    with session(root, progress, registries) as opened:
        found = run(opened, request, second_root)
    if as_json or form != TABLE:
        echo_document(found, JSON if as_json else form)
    else:
        for line in _lines(found):
            click.echo(line)
    if not found.reproducible:
        click.get_current_context().exit(_UNLIKE)


def _lines(found: Verified) -> Iterator[str]:
    if found.reproducible:
        yield f"reproducible: {found.images[0]}"
        yield f"  {found.steps} steps made the same twice; SOURCE_DATE_EPOCH={found.epoch}"
        return
    for step in found.unlike:
        yield from _step(step)
    if found.config:
        yield f"the config of the image differs: {', '.join(found.config)}"
    roots = dict.fromkeys(step.place for step in found.unlike if not step.source)
    cause = f"; look at {', '.join(roots)}" if roots else ""
    yield f"not reproducible: {len(found.unlike)} of {found.steps} steps made something else{cause}"


def _step(step: StepUnlike) -> Iterator[str]:
    entry = step.entry
    yield f"{step.place}  {step.name}"
    if step.source:
        yield f"  it comes from {', '.join(step.source)}"
    if step.below:
        others = len(step.below) - 1
        yield f"  it stands on {step.below[0]}{f' and {others} more' if others else ''}, which may be why"
    yield f"  {entry.path}: {', '.join(entry.what)}"
    if entry.diff:
        yield from (f"    {line}" for line in entry.diff)
    else:
        yield f"    - {entry.first or 'not there'}"
        yield f"    + {entry.second or 'not there'}"
    if entry.hint:
        yield f"    {entry.hint}"
    if entry.count > 1:
        more = entry.count - 1
        yield f"  and {more} more {'entry differs' if more == 1 else 'entries differ'}"
