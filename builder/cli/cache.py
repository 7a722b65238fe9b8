"""`cache ls`, `cache du`."""

from __future__ import annotations

import time

import click

from builder.cli.images import spell
from builder.cli.lazy import LazyGroup
from builder.cli.options import echo_json, echo_table, format_option, root_option, session
from builder.progress.plain import size

_COMMANDS = {
    "ls": "builder.cli.cache:ls",
    "why": "builder.cli.why:why",
    "du": "builder.cli.cache:du",
    "verify": "builder.cli.verify:verify",
    "mount": "builder.cli.cachemounts:mount",
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def cache() -> None:
    """Look into the cache."""


@click.command()
@format_option
@root_option
def ls(form: str, root: str | None) -> None:
    """List the cached steps by file and line."""
    from builder.api.cache import records

    with session(root) as opened:
        rows = records(opened)
    if form == "json":
        echo_json(rows)
        return
    now = time.time()
    echo_table(
        ("KEY", "LINE", "STEP", "SIZE", "AGE", "LAST USED", "HITS", "COST"),
        [
            (
                r.key[:12],
                r.place,
                r.step if len(r.step) <= 48 else f"{r.step[:47]}…",
                size(r.size),
                spell(now - r.created),
                f"{spell(now - r.last_used)} ago",
                str(r.hits),
                f"{r.seconds:.1f}s",
            )
            for r in rows
        ],
    )


@click.command()
@format_option
@root_option
def du(form: str, root: str | None) -> None:
    """Show what the store takes on disk, by kind."""
    from builder.api.cache import disk_usage

    with session(root) as opened:
        rows = disk_usage(opened)
    if form == "json":
        echo_json(rows)
        return
    cells = [(r.kind, str(r.count), size(r.bytes)) for r in rows]
    echo_table(("KIND", "COUNT", "SIZE"), [*cells, ("total", "", size(sum(r.bytes for r in rows)))])
