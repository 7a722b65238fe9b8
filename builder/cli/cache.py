"""`cache ls`, `cache du`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.images import spell
from builder.cli.lazy import LazyGroup
from builder.cli.listing import (
    Listing,
    echo_document,
    echo_listing,
    filter_option,
    no_trunc_option,
    quiet_option,
)
from builder.cli.options import TABLE, echo_table, format_option, root_option, session
from builder.lang.sizes import size
from builder.views.filters import STEPS

if TYPE_CHECKING:
    from builder.api.cache import RecordRow
    from builder.views.usage import UsageRow

_COMMANDS = {
    "ls": "builder.cli.cache:ls",
    "show": "builder.cli.show:show",
    "why": "builder.cli.why:why",
    "du": "builder.cli.cache:du",
    "verify": "builder.cli.verify:verify",
    "mount": "builder.cli.cachemounts:mount",
    "prune": "builder.cli.prune:cache_prune",
}


@click.group(
    examples=(
        ("pybuild cache ls", "see what is cached"),
        ("pybuild cache why", "see why the last build ran what it ran"),
        ("pybuild cache prune --filter until=24h", "remove what is older than a day"),
    ),
    cls=LazyGroup,
    table=_COMMANDS,
)
def cache() -> None:
    """Look into the cache."""


def _step_fields(row: RecordRow, whole: bool) -> dict[str, str]:
    now = time.time()
    return {
        "ID": row.key if whole else row.key[:12],
        "Line": row.place,
        "Stage": row.stage,
        "Step": row.step if whole or len(row.step) <= 48 else f"{row.step[:47]}…",
        "Type": row.type,
        "Size": size(row.size),
        "Age": spell(now - row.created),
        "LastUsed": f"{spell(now - row.last_used)} ago",
        "Hits": str(row.hits),
        "Cost": f"{row.seconds:.1f}s",
    }


_RECORDS = Listing(
    headings={
        "ID": "KEY",
        "Line": "LINE",
        "Stage": "STAGE",
        "Step": "STEP",
        "Type": "TYPE",
        "Size": "SIZE",
        "Age": "AGE",
        "LastUsed": "LAST USED",
        "Hits": "HITS",
        "Cost": "COST",
    },
    columns=("ID", "Line", "Stage", "Step", "Size", "Age", "LastUsed", "Hits", "Cost"),
    fields=_step_fields,
    shrinks=("Step",),
)


@command(
    ("pybuild cache ls", "list all"),
    ("pybuild cache ls --filter stage=build", "list those of a stage"),
)
@filter_option(STEPS)
@quiet_option("keys")
@no_trunc_option
@format_option
@root_option
def ls(filters: tuple[str, ...], quiet: bool, no_trunc: bool, form: str, root: str | None) -> None:
    """List the cached steps by file and line."""
    from builder.api.cache import records

    with session(root) as opened:
        rows = records(opened, filters)
    echo_listing(_RECORDS, rows, form, whole=no_trunc, quiet="ID" if quiet else "")


def _kind_fields(row: UsageRow, whole: bool) -> dict[str, str]:
    return {
        "Kind": row.kind,
        "Count": str(row.count),
        "Size": size(row.bytes),
        "Shared": size(row.shared),
        "Unique": size(row.unique),
    }


_KINDS = Listing(
    headings={"Kind": "KIND", "Count": "COUNT", "Size": "SIZE", "Shared": "SHARED", "Unique": "UNIQUE"},
    columns=("Kind", "Count", "Size", "Shared", "Unique"),
    fields=_kind_fields,
)


@command(
    ("pybuild cache du", "see what takes the space"),
    ("pybuild cache du -v", "see each layer"),
)
@click.option("-v", "--verbose", is_flag=True, help="Show each layer, and which images and steps have it.")
@format_option
@root_option
def du(verbose: bool, form: str, root: str | None) -> None:
    """Show what the store takes on disk, by kind."""
    from builder.api.cache import disk_usage

    with session(root) as opened:
        found = disk_usage(opened)
    if form != TABLE:
        echo_document(found, form) if verbose else echo_listing(_KINDS, found.kinds, form)
        return
    cells = [tuple(_kind_fields(row, True).values()) for row in found.kinds]
    total = [size(sum(figures)) for figures in zip(*((r.bytes, r.shared, r.unique) for r in found.kinds), strict=True)]
    echo_table(("KIND", "COUNT", "SIZE", "SHARED", "UNIQUE"), [*cells, ("total", "", *total)])
    if not verbose:
        return
    click.echo()
    echo_table(
        ("LAYER", "BLOB", "UNPACKED", "IMAGES", "STEPS"),
        [
            (y.diff_id[:12], size(y.blob), size(y.unpacked), ", ".join(y.images), ", ".join(y.steps))
            for y in found.layers
        ],
    )
