"""`version`, `doctor`."""

from __future__ import annotations

import click

from builder.cli.help import command
from builder.cli.listing import echo_document
from builder.cli.options import JSON, TABLE, Format, echo_json, root_option, session


@command(
    ("pybuild version", "see them"),
    ("pybuild version --format json", "see them, for programs"),
    short="Show versions of pybuild and its libraries",
)
@click.option("-f", "--format", "form", type=Format(), default=TABLE, show_default=True, help="Output form.")
def version(form: str) -> None:
    """Show the versions of pybuild, of what it runs on and of its libraries."""
    from builder.api.system import versions

    found = versions()
    if form not in (TABLE, JSON):  # which may ask as of Docker
        # lazy: only for this
        from builder.image.platform import host

        client = {"Version": found["pybuild"], "Os": host().os, "Arch": host().architecture}
        echo_document({**found, "Version": found["pybuild"], "Client": client}, form)
        return
    if form == JSON:
        echo_json(found)
        return
    for name, number in found.items():
        click.echo(f"{name:<10} {number}")


@command(
    ("pybuild doctor", "see what works here, and what would help"),
    short="Show what this machine lets pybuild do",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@root_option
def doctor(as_json: bool, root: str | None) -> None:
    """Show what this machine lets pybuild do, and what would let it do more; ends with 7 when no step can run."""
    from builder.api.doctor import diagnosis

    with session(root) as opened:
        found = diagnosis(opened)
    if as_json:
        echo_json(found)
    else:
        click.echo(f"tier {found.tier}")
        for line in found.lines:
            click.echo(f"  {line.name:<12} {line.used}")
            for better in line.better:
                click.echo(f"  {'':<12} ! {better}")
        for refused in found.refused:
            click.echo(f"  refused      {refused}")
    if found.refused:
        click.get_current_context().exit(7)
