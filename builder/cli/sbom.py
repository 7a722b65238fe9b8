"""`sbom`: what is in an image."""

from __future__ import annotations

import sys

import click

from builder.cli.help import command
from builder.cli.options import echo_table, platform_option, root_option, session
from builder.cli.spelling import Choice


@command(
    ("pybuild sbom app", "list the packages"),
    ("pybuild sbom --format spdx app", "write them as SPDX"),
    short="List the packages in an image",
)
@click.argument("image")
@click.option(
    "--format",
    "form",
    type=Choice(("table", "spdx", "cyclonedx")),
    default="table",
    show_default=True,
    help="Output form.",
)
@click.option("-o", "--output", default="-", metavar="FILE", help="File to write; default: standard output.")
@platform_option
@root_option
def sbom(image: str, form: str, output: str, platform: str, root: str | None) -> None:
    """List the packages in an image: of dpkg, apk, rpm, Python and npm."""
    from builder.api import sbom as api

    if form == "table":
        if output != "-":
            raise click.UsageError("--output goes with --format spdx or cyclonedx.")
        with session(root) as opened:
            inventory, _ = api.found(opened, image, platform)
        cells = [(p.full_name, p.full_version, p.kind, p.architecture, f"/{p.place}") for p in inventory.packages]
        echo_table(("NAME", "VERSION", "TYPE", "ARCHITECTURE", "TOLD BY"), cells)
        for text in inventory.unread:
            click.echo(f"not read: {text}", err=True)
        return
    with session(root) as opened:
        data = api.sbom(opened, image, form, platform)
    if output == "-":
        sys.stdout.buffer.write(data)
    else:
        api.written(output, data)
