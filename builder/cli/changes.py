"""What containers changed: `commit`, `cp`; and all their files: `export`."""

from __future__ import annotations

import sys

import click

from builder.cli.help import command
from builder.cli.options import root_option, session


@command(
    ("pybuild commit web app:patched", "keep what a container has become"),
    short="Make an image of a container",
)
@click.option("-a", "--author", default="", metavar="TEXT", help="Author of the image.")
@click.option("-c", "--change", multiple=True, metavar="INSTRUCTION", help="Instruction over its config.")
@click.option("-m", "--message", default="", metavar="TEXT", help="Comment in its history.")
@click.option(
    "-p",
    "--pause",
    type=bool,
    default=False,
    metavar="true|false",
    help="Whether to pause it meanwhile: a container that runs cannot be.",
)
@root_option
@click.argument("container")
@click.argument("name", required=False, default="", metavar="[REPOSITORY[:TAG]]")
def commit(
    author: str, change: tuple[str, ...], message: str, pause: bool, root: str | None, container: str, name: str
) -> None:
    """Make an image of a container's files and config; print its ID."""
    from builder.api.changes import commit as make

    with session(root) as opened:
        click.echo(make(opened, container, name, change=change, author=author, message=message, pause=pause))


@command(
    ("pybuild cp web:/var/log .", "copy a directory out"),
    ("pybuild cp settings.toml web:/etc/", "copy a file in"),
    short="Copy files between a container and this machine",
)
@click.option("-a", "--archive", is_flag=True, help="Keep the owners.")
@click.option("-L", "--follow-link", is_flag=True, help="Copy what SRC points to if it is a link.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
@root_option
@click.argument("source", metavar="CONTAINER:SRC|SRC|-")
@click.argument("destination", metavar="DEST|-|CONTAINER:DEST")
def cp(archive: bool, follow_link: bool, quiet: bool, root: str | None, source: str, destination: str) -> None:
    """Copy files between a container and this machine; `-` is a tar on standard input or output."""
    from builder.api.changes import copy
    from builder.lang.sizes import size

    with session(root) as opened:
        done = copy(opened, source, destination, keep=archive, follow=follow_link)
    if done.left_out:
        click.echo(f"pybuild: {done.left_out} devices were left out: this machine gets none", err=True)
    # As in Docker: where nobody looks, nothing is said.
    if sys.stderr.isatty() and not quiet and done.size:
        click.echo(f"Successfully copied {size(done.size)} to {destination}", err=True)


@command(
    ("pybuild export -o web.tar web", "write the files of a container"),
    short="Write all files of a container or image as one tar",
)
@click.option("-o", "--output", default="-", metavar="FILE", help="File to write; default: standard output.")
@click.option("--platform", default="", metavar="OS/ARCH", help="Which image of one for several platforms.")
@root_option
@click.argument("container", metavar="CONTAINER|IMAGE")
def export(output: str, platform: str, root: str | None, container: str) -> None:
    """Write all files of a container, or of an image, as one tar."""
    from builder.api.changes import export as write

    with session(root) as opened:
        write(opened, container, output, platform)
