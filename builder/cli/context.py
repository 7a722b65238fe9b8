"""`context ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.lazy import LazyGroup
from builder.cli.listing import Listing, echo_document, echo_listing, quiet_option
from builder.cli.options import TABLE, echo_table, format_option, pairs, root_option, session
from builder.cli.recipe import contexts_of
from builder.lang.sizes import size
from builder.request import BuildRequest

if TYPE_CHECKING:
    from builder.views.context import ContextRow, Why


@click.group(
    examples=(("pybuild context ls --size .", "see what a build would take, and how much it is"),),
    cls=LazyGroup,
    table={"ls": "builder.cli.context:ls"},
)
def context() -> None:
    """Look into build contexts."""


@command(("pybuild context ls --size .", "see what a build would take of this directory, and how much it is"))
@click.argument("path", default=".", metavar="PATH")
@click.option("-f", "--file", metavar="FILE", help="The Buildfile. Default: Buildfile, Dockerfile or Containerfile.")
@click.option("--target", default="", metavar="STAGE", help="Stage that would be built. Default: the last.")
@click.option("--build-arg", "build_args", multiple=True, metavar="NAME[=VALUE]", help="Value of an ARG.")
@click.option("--build-context", "build_contexts", multiple=True, metavar="NAME=VALUE", help="As for build.")
@click.option("--size", "sizes", is_flag=True, help="Show sizes, and their sum.")
@click.option("--why", metavar="FILE", help="Say why this file of the context would be read, or not.")
@quiet_option("paths")
@format_option
@root_option
def ls(
    path: str,
    file: str | None,
    target: str,
    build_args: tuple[str, ...],
    build_contexts: tuple[str, ...],
    sizes: bool,
    why: str | None,
    quiet: bool,
    form: str,
    root: str | None,
) -> None:
    """List the files that a build of PATH would read."""
    from builder.api import context as api

    request = BuildRequest(
        context=path,
        file=file,
        target=target,
        build_args=dict(pairs(build_args, "--build-arg")),
        contexts=contexts_of(build_contexts),
    )
    with session(root) as opened:
        if why is not None:
            reason = api.why(opened, request, why)
            click.echo(_sentence(reason)) if form == TABLE else echo_document(reason, form)
            return
        rows = api.listed(opened, request)
    if form != TABLE or quiet or not sizes:
        columns = _FILES.columns if sizes else ("Path", "TakenBy")
        echo_listing(_FILES, rows, form, quiet="Path" if quiet else "", columns=columns)
        return
    cells = [tuple(_fields(row, True).values()) for row in rows]
    echo_table(("PATH", "SIZE", "TAKEN BY"), [*cells, ("total", size(sum(r.size for r in rows)), "")])


def _fields(row: ContextRow, whole: bool) -> dict[str, str]:
    path = f"{row.context}:{row.path}" if row.context else row.path
    return {"Path": path, "Size": size(row.size), "TakenBy": ", ".join(row.taken_by)}


_FILES = Listing(
    headings={"Path": "PATH", "Size": "SIZE", "TakenBy": "TAKEN BY"},
    columns=("Path", "Size", "TakenBy"),
    fields=_fields,
    shrinks=("TakenBy",),
)


def _sentence(reason: Why) -> str:
    if not reason.exists:
        return f"{reason.path} is not there"
    taken = f"it is taken by {', '.join(reason.taken_by)}" if reason.taken_by else "nothing in the Buildfile takes it"
    if reason.hidden_by is None:
        return f"{reason.path}: {taken}"
    if reason.taken_by:  # a directory of which a later rule shows something
        return f"{reason.path} is hidden by {reason.hidden_by}, but not all in it: {taken}"
    return f"{reason.path} is hidden by {reason.hidden_by}"
