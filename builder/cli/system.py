"""`version`."""

from __future__ import annotations

import click

from builder.cli.help import command
from builder.cli.listing import echo_document
from builder.cli.options import JSON, TABLE, Format, echo_json


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
        click.echo(f"{name:<12} {number}")
