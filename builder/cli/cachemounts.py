"""`cache mount`: the directories of RUN --mount=type=cache."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

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
from builder.cli.options import TABLE, format_option, pairs, root_option, session
from builder.cli.shell import WithCommand
from builder.lang.sizes import size
from builder.views.filters import MOUNTS

if TYPE_CHECKING:
    from builder.api.cachemounts import CacheMount

_WAIT = click.option(
    "--wait", default="30s", show_default=True, metavar="TIME", help="How long to wait for who has it in use."
)


_COMMANDS = {name: f"builder.cli.cachemounts:{name}" for name in ("ls", "show", "shell", "rm", "export")} | {
    "import": "builder.cli.cachemounts:import_"
}


@click.group(
    examples=(
        ("pybuild cache mount ls", "list them"),
        ("pybuild cache mount export pip pip.tar", "carry one to another machine"),
    ),
    cls=LazyGroup,
    table=_COMMANDS,
)
def mount() -> None:
    """Look into cache mounts, remove them, carry them to other stores."""


def _fields(row: CacheMount, whole: bool) -> dict[str, str]:
    return {
        "ID": row.name if whole else row.name[:12],
        "Name": _cut(row.about.id, whole),
        "Target": _cut(",".join(dict.fromkeys(use.target for use in row.uses)), whole),
        "Sharing": ",".join(dict.fromkeys(use.sharing for use in row.uses)),
        "Size": size(row.size),
        "Files": str(row.files),
        "LastUsed": f"{spell(time.time() - row.last_used)} ago",
        "InUse": "yes" if row.in_use else "no",
    }


def _cut(text: str, whole: bool) -> str:
    return text if whole or len(text) <= 32 else f"{text[:31]}…"


_MOUNTS = Listing(
    headings={
        "ID": "CACHE ID",
        "Name": "NAME",
        "Target": "TARGET",
        "Sharing": "SHARING",
        "Size": "SIZE",
        "Files": "FILES",
        "LastUsed": "LAST USED",
        "InUse": "IN USE",
    },
    columns=("ID", "Name", "Target", "Sharing", "Size", "Files", "LastUsed", "InUse"),
    fields=_fields,
    shrinks=("Name", "Target"),
)


@command(
    ("pybuild cache mount ls", "list them"),
)
@quiet_option("IDs")
@no_trunc_option
@filter_option(MOUNTS)
@format_option
@root_option
def ls(quiet: bool, no_trunc: bool, filters: tuple[str, ...], form: str, root: str | None) -> None:
    """List cache mounts."""
    from builder.api.cachemounts import cache_mounts

    with session(root, "plain") as opened:
        rows = cache_mounts(opened, filters)
    echo_listing(_MOUNTS, rows, form, whole=no_trunc, quiet="ID" if quiet else "", facts=_facts)


@command(
    ("pybuild cache mount show pip", "see where one is used"),
)
@click.argument("cache", metavar="ID")
@format_option
@root_option
def show(cache: str, form: str, root: str | None) -> None:
    """Show what is known of a cache mount, and where it is used."""
    from builder.api.cachemounts import cache_mount

    with session(root, "plain") as opened:
        row = cache_mount(opened, cache)
    if form != TABLE:
        echo_document(_facts(row), form)
        return
    about, ago = row.about, spell(time.time() - row.last_used)
    begins = f"as /{about.source} of {about.begins}" if about.begins else "empty"
    click.echo(f"ID:         {row.name}")
    click.echo(f"Name:       {about.id}")
    click.echo(f"Begins:     {begins}, mode {about.mode}, owner {about.uid}:{about.gid}")
    click.echo(f"Size:       {size(row.size)} in {row.files} files, {row.directories} directories of its own")
    click.echo(f"Last used:  {ago} ago{', in use now' if row.in_use else ''}")
    for use in row.uses:
        click.echo(f"Used by:    {use.place} at {use.target}, {use.sharing}")


@command(
    ("pybuild cache mount shell pip", "look into one"),
    ("pybuild cache mount shell pip -- ls -la", "run a command in one"),
    cls=WithCommand,
)
@click.option("--image", default="", metavar="IMAGE", help="Image to open it in; default: programs of this machine.")
@click.option("--target", default="", metavar="DIR", help="Where it is mounted; default: where a step had it.")
@click.option("-c", "script", metavar="COMMAND", help="Have the shell run COMMAND instead of reading it.")
@click.option("-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable.")
@_WAIT
@root_option
@click.argument("cache", metavar="ID [-- COMMAND…]")
@click.pass_context
def shell(
    ctx: click.Context,
    image: str,
    target: str,
    script: str | None,
    env: tuple[str, ...],
    wait: str,
    root: str | None,
    cache: str,
) -> None:
    """Open a shell in a cache mount."""
    from builder.api import cachemounts as api
    from builder.request import CacheShellRequest

    command: tuple[str, ...] = ctx.meta.get("command", ())
    if script is not None and command:
        raise click.UsageError("-c COMMAND and -- COMMAND exclude each other")
    request = CacheShellRequest(cache, image, target, command, script, pairs(env, "--env"), api.patience(wait))
    with session(root, "plain") as opened:
        status = api.shell(opened, request)
    ctx.exit(status)


@command(
    ("pybuild cache mount rm pip", "remove one"),
)
@click.option("-f", "--force", is_flag=True, help="Also one that a step uses, which keeps its files until it ends.")
@root_option
@click.argument("caches", nargs=-1, required=True, metavar="ID…")
def rm(caches: tuple[str, ...], force: bool, root: str | None) -> None:
    """Remove cache mounts."""
    from builder.api.cachemounts import remove

    with session(root, "plain") as opened:
        for cache in caches:
            gone = remove(opened, cache, force=force)
            later = f"; {size(gone.later)} more when the step that uses it ends" if gone.later else ""
            click.echo(f"Removed: {gone.name[:12]} {gone.id}, {size(gone.freed)} freed{later}")


@command(
    ("pybuild cache mount export pip pip.tar", "write one"),
    short="Write a cache mount to an archive or directory",
)
@_WAIT
@root_option
@click.argument("cache", metavar="ID")
@click.argument("destination", metavar="FILE|DIR/|-")
def export(cache: str, destination: str, wait: str, root: str | None) -> None:
    """Write a cache mount to an archive, or to a directory that keeps what has not changed."""
    from builder.api import cachemounts as api

    with session(root, "plain") as opened:
        done = api.export(opened, cache, destination, api.patience(wait))
    for path in done.left_out:
        click.echo(f"left out: {path!r} is a device, or changes too fast", err=True)
    click.echo(f"{size(done.new_bytes)} written; {done.packs} packs, {size(done.bytes)} altogether", err=True)


@command(("pybuild cache mount import pip.tar pip", "take one in"), name="import")
@click.option("--merge", is_flag=True, help="Keep what is in it where the archive has nothing.")
@_WAIT
@root_option
@click.argument("source", metavar="FILE|DIR|-")
@click.argument("cache", default="", metavar="[ID]")
def import_(source: str, cache: str, merge: bool, wait: str, root: str | None) -> None:
    """Make a cache mount what an archive holds."""
    from builder.api import cachemounts as api

    with session(root, "plain") as opened:
        about, done = api.import_(opened, source, cache, api.patience(wait), merge=merge)
    click.echo(f"Imported: {about.name[:12]} {about.id}")
    click.echo(f"{done.unpacked} of {done.packs} packs unpacked, {size(done.bytes)}", err=True)


def _facts(row: CacheMount) -> dict[str, Any]:
    """Under Docker's kind of names."""
    return {
        "ID": row.name,
        "Name": row.about.id,
        "From": row.about.begins,
        "Source": row.about.source,
        "Mode": row.about.mode,
        "Owner": f"{row.about.uid}:{row.about.gid}",
        "Size": row.size,
        "Files": row.files,
        "Directories": row.directories,
        "Created": row.created,
        "LastUsed": row.last_used,
        "InUse": row.in_use,
        "UsedBy": [{"Place": u.place, "Target": u.target, "Sharing": u.sharing} for u in row.uses],
    }
