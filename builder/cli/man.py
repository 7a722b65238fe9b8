"""`man`: the pages of the manual, written where man(1) finds them."""

from __future__ import annotations

import os
from pathlib import Path

import click

from builder.cli.help import command
from builder.errors import UsageError


@command(
    ("pybuild man", "have `man pybuild-build` and all others, for you (or as root for all)"),
    ("pybuild man ./share/man", "write them to ./share/man/man1"),
)
@click.argument("directory", default="", metavar="[DIR]")
def man(directory: str) -> None:
    """Write a manual page for each command to DIR/man1, where man finds it: by default where you have data of your own.

    That is ~/.local/share/man, which man-db looks at when ~/.local/bin is in PATH; as root it is /usr/local/share/man.
    """
    # lazy: it imports every command
    from builder.cli.manpages import pages
    from builder.cli.program import pybuild

    path = (Path(directory) if directory else _default()) / "man1"
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name, text in pages(pybuild):
            (path / f"{name}.1").write_text(text)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}") from None
    click.echo(f"man -l {path / 'pybuild.1'}")


def _default() -> Path:
    if not os.geteuid():
        return Path("/usr/local/share/man")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "man"
