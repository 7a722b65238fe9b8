"""`system df`, and the groups `system`, `image` and `container`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.images import spell
from builder.cli.lazy import LazyGroup
from builder.cli.listing import Listing, echo_document, echo_listing
from builder.cli.options import TABLE, echo_table, format_option, root_option, session
from builder.lang.sizes import size

if TYPE_CHECKING:
    from builder.api.usage import Kind, Usage

_SYSTEM = {"df": "builder.cli.df:df", "prune": "builder.cli.prune:system_prune"}


@click.group(
    examples=(
        ("pybuild system df", "see what takes the space"),
        ("pybuild system prune", "make room"),
    ),
    cls=LazyGroup,
    table=_SYSTEM,
)
def system() -> None:
    """Look after the whole store."""


@click.group(
    examples=(("pybuild image prune", "remove images without a name"),),
    cls=LazyGroup,
    table={"prune": "builder.cli.prune:image_prune"},
)
def image() -> None:
    """Look after images."""


@click.group(
    examples=(("pybuild container prune", "remove containers that have ended"),),
    cls=LazyGroup,
    table={"prune": "builder.cli.prune:container_prune"},
)
def container() -> None:
    """Look after containers."""


@command(
    ("pybuild system df", "see what takes the space"),
    ("pybuild system df -v", "see each thing"),
    short="Show what the store takes, and what is not in use",
)
@click.option("-v", "--verbose", is_flag=True, help="Show each image, container and cached step.")
@format_option
@root_option
def df(verbose: bool, form: str, root: str | None) -> None:
    """Show what the store takes on disk, and how much of it is not in use."""
    from builder.api.usage import usage

    with session(root) as opened:
        found = usage(opened)
    if not verbose:
        echo_listing(_KINDS, found.kinds, form)
    elif form != TABLE:
        echo_document(found, form)
    else:
        _verbose(found)


def _fields(kind: Kind, whole: bool) -> dict[str, str]:
    return {
        "Type": kind.type,
        "TotalCount": str(kind.total),
        "Active": str(kind.active),
        "Size": size(kind.size),
        "Reclaimable": _part(kind.reclaimable, kind.size),
    }


_KINDS = Listing(
    headings={
        "Type": "TYPE",
        "TotalCount": "TOTAL",
        "Active": "ACTIVE",
        "Size": "SIZE",
        "Reclaimable": "RECLAIMABLE",
    },
    columns=("Type", "TotalCount", "Active", "Size", "Reclaimable"),
    fields=_fields,
)


def _part(part: int, whole: int) -> str:
    return f"{size(part)} ({100 * part // whole}%)" if whole else size(part)


def _verbose(found: Usage) -> None:
    now = time.time()
    click.echo("Images space usage:\n")
    echo_table(
        ("IMAGE", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"),
        [
            (
                *(name, i.id.removeprefix("sha256:")[:12], _ago(now - i.added)),
                *(size(i.size), size(i.shared), size(i.unique), str(i.containers)),
            )
            for i in found.images
            for name in i.names or ("<none>",)
        ],
    )
    click.echo("\nContainers space usage:\n")
    echo_table(
        ("CONTAINER ID", "IMAGE", "SIZE", "CREATED", "NAMES"),
        [
            (u.container.id[:12], u.container.image, size(u.size), _ago(now - u.container.created), u.container.name)
            for u in found.containers
        ],
    )
    click.echo(f"\nBuild cache usage: {size(next(k.size for k in found.kinds if k.type == 'Build Cache'))}\n")
    echo_table(
        ("CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED"),
        [
            (
                *(e.id[:12], e.type, size(e.size), _ago(now - e.created), _ago(now - e.last_used)),
                *(str(e.hits), str(not e.reclaimable).lower()),
            )
            for e in found.cache
        ],
    )


def _ago(seconds: float) -> str:
    return f"{spell(abs(seconds))} ago"
