"""`ps`: the containers there are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from builder.cli.help import command
from builder.cli.images import spell
from builder.cli.listing import Listing, echo_listing, filter_option, no_trunc_option, quiet_option
from builder.cli.options import JSON, TABLE, format_option, root_option, session
from builder.lang.sizes import size
from builder.views.filters import CONTAINERS

if TYPE_CHECKING:
    from builder.api.chosen import Details
    from builder.api.containers import ContainerRow


class _Row(Struct, frozen=True):
    """A container, with what takes longer to find out where that is asked for."""

    row: ContainerRow
    details: Details | None = None
    bytes: int = 0


def _fields(told: _Row, whole: bool) -> dict[str, str]:
    container, details = told.row.container, told.details
    command = " ".join(container.command)
    if not whole and len(command) > 30:
        command = f"{command[:30]}…"
    mounts = () if details is None else details.mounts
    created = time.localtime(container.created)
    return {
        "ID": container.id if whole else container.id[:12],
        "Image": container.image,
        "Command": f'"{command}"',
        "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S %z %Z", created),
        "RunningFor": f"{spell(time.time() - container.created)} ago",
        "Ports": "",
        "State": told.row.state,
        "Status": _status(told.row),
        "Size": size(told.bytes),
        "Names": container.name,
        "Labels": "",
        "Mounts": ",".join(source for source, _ in mounts),
        "LocalVolumes": "0",
        "Networks": "" if details is None else details.network,
    }


_CONTAINERS = Listing(
    headings={
        "ID": "CONTAINER ID",
        "Image": "IMAGE",
        "Command": "COMMAND",
        "CreatedAt": "CREATED AT",
        "RunningFor": "CREATED",
        "Ports": "PORTS",
        "State": "STATE",
        "Status": "STATUS",
        "Size": "SIZE",
        "Names": "NAMES",
        "Labels": "LABELS",
        "Mounts": "MOUNTS",
        "LocalVolumes": "LOCAL VOLUMES",
        "Networks": "NETWORKS",
    },
    columns=("ID", "Image", "Command", "RunningFor", "Status", "Names"),
    fields=_fields,
    shrinks=("Command",),
    labels=lambda told: {} if told.details is None else told.details.labels,
)


@command(
    ("pybuild ps", "list what runs"),
    ("pybuild ps -a --filter status=exited", "list what has ended"),
)
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that have ended.")
@click.option("-n", "--last", type=click.IntRange(0), metavar="N", help="The N made last, also those that have ended.")
@click.option("-l", "--latest", is_flag=True, help="The one made last, also if it has ended.")
@click.option("-s", "--size", "sizes", is_flag=True, help="Also what each takes on disk.")
@quiet_option("IDs")
@no_trunc_option
@filter_option(CONTAINERS)
@format_option
@root_option
def ps(
    everything: bool,
    last: int | None,
    latest: bool,
    sizes: bool,
    quiet: bool,
    no_trunc: bool,
    filters: tuple[str, ...],
    form: str,
    root: str | None,
) -> None:
    """List containers."""
    from builder.api import containers as api

    # As in Docker: who asks for how one has ended wants it shown.
    asks = any(text.startswith(("status=", "exited=")) for text in filters)
    most = 1 if latest else last
    with session(root) as opened:
        rows = [row for row in api.containers(opened, filters) if everything or asks or most is not None or row.running]
        rows = rows if most is None else rows[:most]
        filled = form not in (TABLE, JSON)
        found = api.bytes_of(opened, rows) if sizes or (filled and ".Size" in form) else [0] * len(rows)
        told = [_Row(row, api.details(opened, row) if filled else None, n) for row, n in zip(rows, found, strict=True)]
    columns = (*_CONTAINERS.columns, "Size") if sizes else None
    echo_listing(
        _CONTAINERS, told, form, whole=no_trunc, quiet="ID" if quiet else "", columns=columns, facts=lambda t: t.row
    )


def _status(row: ContainerRow) -> str:
    container, now = row.container, time.time()
    if row.state == "running":
        return f"Up {spell(now - (row.started or container.created))}"
    if row.state == "exited":
        return f"Exited ({container.status}) {spell(now - (container.ended or now))} ago"
    return row.state.capitalize()
