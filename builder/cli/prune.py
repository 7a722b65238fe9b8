"""`cache prune`, `image prune`, `container prune`, `system prune`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click

from builder.api import prune as api
from builder.api.prune import Pruned, Removed
from builder.cli.help import F, command
from builder.cli.images import spell
from builder.cli.listing import echo_document, filter_option
from builder.cli.options import TABLE, echo_table, format_option, root_option, session
from builder.lang.sizes import parse_size, size
from builder.views.filters import STEPS


def _force_option(command: F) -> F:
    return click.option("-f", "--force", is_flag=True, help="Do not ask.")(command)


def _until_option(command: F) -> F:
    return click.option(
        "--filter", "filters", multiple=True, metavar="until=TIME", help="Only what is so old, such as until=24h."
    )(command)


def _agreed(warning: str) -> None:
    """Ask, as Docker does before it prunes; ends the command when the answer is not yes."""
    click.echo(f"WARNING! This will remove{warning}\nAre you sure you want to continue? [y/N] ", nl=False)
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        _total(0)
        click.get_current_context().exit(0)


def _total(freed: int, what: str = "reclaimed") -> None:
    click.echo(f"Total {what} space: {size(freed)}")


def _tell(title: str, lines: Sequence[str]) -> None:
    if lines:
        click.echo("\n".join((f"Deleted {title}:", *lines, "")))


@command(
    ("pybuild cache prune --filter until=24h", "remove what is older than a day"),
    ("pybuild cache prune -f --filter unused-for=720h", "do not ask, and keep what was used this month"),
    name="prune",
)
@click.option(
    "-a",
    "--all",
    "everything",
    is_flag=True,
    help="Also steps whose layers images or containers have, and cache mounts.",
)
@filter_option(STEPS, short=False)
@click.option("--keep-bytes", metavar="SIZE", help="Leave so much of the cache, that which is worth most.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@_force_option
@format_option
@root_option
def cache_prune(
    everything: bool,
    filters: tuple[str, ...],
    keep_bytes: str | None,
    dry_run: bool,
    force: bool,
    form: str,
    root: str | None,
) -> None:
    """Remove cached steps that no image has."""
    keep = None if keep_bytes is None else parse_size(keep_bytes)
    if keep is None and keep_bytes is not None:
        raise click.BadParameter(f"{keep_bytes!r} is no size, such as 10G or 512m", param_hint="--keep-bytes")
    if not force and not dry_run:
        _agreed(" all build cache." if everything else " all dangling build cache.")
    with session(root) as opened:
        mounts = everything or "type=exec.cachemount" in filters
        done = api.prune(opened, filters, keep_bytes=keep, everything=everything, mounts=mounts, dry_run=dry_run)
    if form != TABLE:
        echo_document(done, form)
        return
    _show(done)
    _total(done.freed, "reclaimable" if dry_run else "reclaimed")


def _show(done: Pruned) -> None:
    now = time.time()
    rows = [
        (e.id[:12], str(e.reclaimable).lower(), size(e.size), f"{spell(abs(now - e.last_used))} ago", _cut(e.step))
        for e in done.entries
    ]
    if rows:
        echo_table(("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "STEP"), rows)
    if done.postponed:
        click.echo("pybuild: nothing was removed: another process has all the store in use", err=True)


def _cut(text: str) -> str:
    return text if len(text) <= 48 else f"{text[:47]}…"


@command(("pybuild image prune -f", "do not ask"), name="prune")
@click.option("-a", "--all", "everything", is_flag=True, help="All images without a container, not only unnamed ones.")
@_until_option
@_force_option
@root_option
def image_prune(everything: bool, filters: tuple[str, ...], force: bool, root: str | None) -> None:
    """Remove images that have neither a name nor a container."""
    if not force:
        _agreed(" all images without at least one container." if everything else " all dangling images.")
    with session(root) as opened:
        _told("Images", api.prune_images(opened, filters, everything=everything))


@command(("pybuild container prune --filter until=24h", "keep those of the last day"), name="prune")
@_until_option
@_force_option
@root_option
def container_prune(filters: tuple[str, ...], force: bool, root: str | None) -> None:
    """Remove all containers that do not run."""
    if not force:
        _agreed(" all stopped containers.")
    with session(root) as opened:
        _told("Containers", api.prune_containers(opened, filters))


def _told(title: str, done: Removed) -> None:
    _tell(title, done.lines)
    _total(done.freed)


@command(
    ("pybuild system prune", "remove what nobody uses"),
    ("pybuild system prune -a -f --volumes", "remove all that is not in use, and do not ask"),
    short="Remove what is not in use",
    name="prune",
)
@click.option("-a", "--all", "everything", is_flag=True, help="All images without a container, and all cached steps.")
@click.option("--volumes", is_flag=True, help="Also cache mounts.")
@_until_option
@_force_option
@root_option
def system_prune(everything: bool, volumes: bool, filters: tuple[str, ...], force: bool, root: str | None) -> None:
    """Remove containers that do not run, images without a name or a container, and cached steps no image has."""
    if not force:
        kinds = (
            "all stopped containers",
            "all images without at least one container" if everything else "all dangling images",
            "all build cache" if everything else "unused build cache",
            *(["all cache mounts"] if volumes else []),
        )
        _agreed(":" + "".join(f"\n  - {kind}" for kind in kinds) + "\n")
    with session(root) as opened:
        containers = api.prune_containers(opened, filters)
        images = api.prune_images(opened, filters, everything=everything)
        cache = api.prune(opened, filters, everything=everything, mounts=volumes)
    _tell("Containers", containers.lines)
    _tell("Images", images.lines)
    _tell("build cache objects", [entry.id for entry in cache.entries])
    _total(containers.freed + images.freed + cache.freed)
