"""`cache ls`, `cache du`."""

from __future__ import annotations

import time

import click

from builder.cli.help import command
from builder.cli.images import spell
from builder.cli.lazy import LazyGroup
from builder.cli.options import echo_json, echo_table, format_option, root_option, session
from builder.lang.sizes import size

_COMMANDS = {
    "ls": "builder.cli.cache:ls",
    "show": "builder.cli.show:show",
    "why": "builder.cli.why:why",
    "du": "builder.cli.cache:du",
    "verify": "builder.cli.verify:verify",
    "mount": "builder.cli.cachemounts:mount",
    "prune": "builder.cli.prune:cache_prune",
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def cache() -> None:
    """Look into the cache."""


@command()
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only those with this until, unused-for, type, stage or id; may be given often.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only keys.")
@click.option("--no-trunc", is_flag=True, help="Do not shorten keys and steps.")
@format_option
@root_option
def ls(filters: tuple[str, ...], quiet: bool, no_trunc: bool, form: str, root: str | None) -> None:
    """List the cached steps by file and line."""
    from builder.api.cache import records

    with session(root) as opened:
        rows = records(opened, filters)
    if quiet:
        click.echo("".join(f"{row.key if no_trunc else row.key[:12]}\n" for row in rows), nl=False)
        return
    if form == "json":
        echo_json(rows)
        return
    now = time.time()
    echo_table(
        ("KEY", "LINE", "STAGE", "STEP", "SIZE", "AGE", "LAST USED", "HITS", "COST"),
        [
            (
                r.key if no_trunc else r.key[:12],
                r.place,
                r.stage,
                r.step if no_trunc or len(r.step) <= 48 else f"{r.step[:47]}…",
                size(r.size),
                spell(now - r.created),
                f"{spell(now - r.last_used)} ago",
                str(r.hits),
                f"{r.seconds:.1f}s",
            )
            for r in rows
        ],
    )


@command()
@click.option("-v", "--verbose", is_flag=True, help="Show each layer, and which images and steps have it.")
@format_option
@root_option
def du(verbose: bool, form: str, root: str | None) -> None:
    """Show what the store takes on disk, by kind."""
    from builder.api.cache import disk_usage

    with session(root) as opened:
        found = disk_usage(opened)
    if form == "json":
        echo_json(found if verbose else found.kinds)
        return
    cells = [(r.kind, str(r.count), size(r.bytes), size(r.shared), size(r.unique)) for r in found.kinds]
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
