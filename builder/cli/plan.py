"""`plan`: what a build would do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from builder.cli.build import request_from
from builder.cli.help import command
from builder.cli.listing import echo_document
from builder.cli.options import JSON, TABLE, format_option, root_option, session
from builder.cli.why import said

if TYPE_CHECKING:
    from builder.api.plan import Plan, PlannedStep

# Of --exit-code, when something would run. 2, which others use for that, is a wrong option here (builder/errors.py).
WOULD_RUN = 10
_REASONS = {
    "inputs": "something differs",
    "never-built": "never built",
    "evicted": "its record was evicted",
    "lost": "its layer is missing from the store",
    "expired": "its result is older than --cache=ttl= lets it be",
    "volatile": "--cache=never",
    "no-cache": "--no-cache or its like",
}
_FATES = {"cached": "cached", "remote": "cached (remote)", "pull": "will be pulled", "skipped": "not needed"}


@command(
    ("pybuild plan .", "see which steps would run"),
    ("pybuild plan --build-arg VERSION=2 .", "see what an argument would change"),
    short="Show what a build would do, and why",
    context_settings={"ignore_unknown_options": True},
    options_metavar="[OPTIONS] [OPTIONS OF build]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PATH]")
@click.option("--exit-code", is_flag=True, help=f"End with {WOULD_RUN} when something would run, with 0 else.")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@format_option
@root_option
def plan(arguments: tuple[str, ...], exit_code: bool, as_json: bool, form: str, root: str | None) -> None:
    """Show what a build would do: which steps are cached, and which would run. Takes the options of build."""
    from builder.api.plan import plan as find

    request, _, registries = request_from("plan", arguments, "plan")
    with session(root, registries=registries) as opened:
        found = find(opened, request)
    if as_json or form != TABLE:
        echo_document(found, JSON if as_json else form)
    else:
        for line in _lines(found):
            click.echo(line)
    if exit_code and found.runs:
        click.get_current_context().exit(WOULD_RUN)


def _lines(found: Plan) -> Iterator[str]:
    for step in found.steps:
        yield f"{step.place}  {step.name}"
        yield f"    {_said(step)}"
    fates = [step.fate for step in found.steps]
    yield ""
    parts = [
        f"{fates.count('cached') + fates.count('remote')} cached",
        f"{fates.count('run')} to run",
        f"{fates.count('depends')} that depend on what runs",
        *([f"{fates.count('pull')} to pull"] if "pull" in fates else []),
    ]
    yield f"Plan: {', '.join(parts)}."


def _said(step: PlannedStep) -> str:
    if step.fate == "run":
        return f"will run: {_REASONS[step.reason] if step.difference is None else said(step.difference)}"
    if step.fate == "depends":
        return f"depends on what {' and '.join(step.needs)} yields"
    return _FATES[step.fate]
