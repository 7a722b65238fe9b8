"""`sbom`: what is in an image."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.listing import Listing, echo_listing
from builder.cli.options import TABLE, Format, platform_option, root_option, session

if TYPE_CHECKING:
    from builder.attest.inventory import Package

_DOCUMENTS = ("spdx", "cyclonedx")


def _fields(package: Package, whole: bool) -> dict[str, str]:
    return {
        "Name": package.full_name,
        "Version": package.full_version,
        "Type": package.kind,
        "Architecture": package.architecture,
        "ToldBy": f"/{package.place}",
    }


_HEADINGS = {
    "Name": "NAME",
    "Version": "VERSION",
    "Type": "TYPE",
    "Architecture": "ARCHITECTURE",
    "ToldBy": "TOLD BY",
}
_PACKAGES = Listing(headings=_HEADINGS, columns=tuple(_HEADINGS), fields=_fields, shrinks=("ToldBy",))


@command(
    ("pybuild sbom app", "list the packages"),
    ("pybuild sbom --format spdx app", "write them as SPDX"),
    short="List the packages in an image",
)
@click.argument("image")
@click.option(
    "--format",
    "form",
    type=Format((TABLE, *_DOCUMENTS)),
    default=TABLE,
    show_default=True,
    help="Output form.",
)
@click.option("-o", "--output", default="-", metavar="FILE", help="File to write; default: standard output.")
@platform_option
@root_option
def sbom(image: str, form: str, output: str, platform: str, root: str | None) -> None:
    """List the packages in an image: of dpkg, apk, rpm, Python and npm."""
    from builder.api import sbom as api

    if form not in _DOCUMENTS:
        if output != "-":
            raise click.UsageError("--output goes with --format spdx or cyclonedx.")
        with session(root) as opened:
            inventory, _ = api.found(opened, image, platform)
        echo_listing(_PACKAGES, inventory.packages, form)
        for text in inventory.unread:
            click.echo(f"not read: {text}", err=True)
        return
    with session(root) as opened:
        data = api.sbom(opened, image, form, platform)
    if output == "-":
        sys.stdout.buffer.write(data)
    else:
        api.written(output, data)
