"""`version`."""

from __future__ import annotations

import click

from builder.cli.options import echo_json, format_option


@click.command()
@format_option
def version(form: str) -> None:
    """Show the versions of pybuild, of what it runs on and of its libraries."""
    from builder.api.system import versions

    found = versions()
    if form == "json":
        echo_json(found)
        return
    for name, number in found.items():
        click.echo(f"{name:<10} {number}")
