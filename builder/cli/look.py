"""What is in images: `tree` lists the files, `cat` prints one."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.listing import echo_document
from builder.cli.options import TABLE, echo_lines, format_option, platform_option, root_option, session

if TYPE_CHECKING:
    from builder.views.filetree import TreeRow


@command(
    ("pybuild tree --depth 2 app", "see which directories of an image are large"),
    ("pybuild tree app@3", "see what its third layer added (A), changed (C) and deleted (D)"),
    ("pybuild tree app:/usr/lib", "list a part of it"),
    short="List the files of an image, or of a layer",
)
@click.argument("image", metavar="IMAGE[@LAYER][:PATH]")
@click.option("-L", "--depth", type=click.IntRange(1), metavar="N", help="Only so many directories deep.")
@click.option("-a", "--all", "whole", is_flag=True, help="Of a layer: all that is there with it on top.")
@platform_option
@format_option
@root_option
def tree(image: str, depth: int | None, whole: bool, platform: str, form: str, root: str | None) -> None:
    """List the files of an image, or what a layer of it changed.

    LAYER is a number from 1 on, the lowest first, or the beginning of a layer's digest or diff ID.
    """
    from builder.api import insight

    with session(root) as opened:
        rows = insight.tree(opened, image, platform, whole=whole)
    if depth is not None:
        rows = [row for row in rows if row.depth - rows[0].depth <= depth]
    if form != TABLE:
        echo_document(rows, form)
    else:
        echo_lines(_lines(rows))


def _lines(rows: list[TreeRow]) -> Iterable[str]:
    from builder.lang.sizes import size
    from builder.views.filetree import drawn

    owners = [f"{row.uid}:{row.gid}" for row in rows]
    width = max(map(len, owners))
    marked = any(row.change for row in rows)
    for row, owner, name in zip(rows, owners, drawn(rows), strict=True):
        mark = f"{row.change or ' '} " if marked else ""
        yield f"{mark}{row.mode} {owner:<{width}} {size(row.size):>7} {name}"


@command(
    ("pybuild cat app:/etc/os-release", "print a file of an image"),
    ("pybuild cat app@2:/app/config.py", "print it as it was when its second layer was made"),
)
@click.argument("file", metavar="IMAGE[@LAYER]:PATH")
@platform_option
@root_option
def cat(file: str, platform: str, root: str | None) -> None:
    """Print a file of an image.

    Links are followed inside the image. On a terminal, control characters are shown, not obeyed.
    """
    from builder.api import insight

    shown = sys.stdout.isatty()
    with session(root) as opened:
        for piece in insight.cat(opened, file, platform):
            sys.stdout.buffer.write(_tame(piece) if shown else piece)


def _tame(piece: bytes) -> bytes:
    """`piece` without what a terminal would obey: all below a blank but tabs and line feeds, DEL, and C1 controls."""
    text = piece.decode(errors="surrogateescape")
    tamed = (c if c.isprintable() or c in "\t\n" or c >= "\udc80" else repr(c)[1:-1] for c in text)
    return "".join(tamed).encode(errors="backslashreplace")
