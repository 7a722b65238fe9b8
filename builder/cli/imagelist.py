"""`images`, `history`, `inspect`: what is known of images of the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from builder.cli.help import command
from builder.cli.images import age
from builder.cli.listing import (
    Listing,
    document_format_option,
    echo_document,
    echo_listing,
    filter_option,
    no_trunc_option,
    quiet_option,
)
from builder.cli.options import JSON, TABLE, echo_table, format_option, platform_option, root_option, session
from builder.cli.spelling import Choice
from builder.lang.sizes import size
from builder.views.filters import IMAGES

if TYPE_CHECKING:
    from builder.api.images import HistoryRow, ImageRow

_json_option = click.option("--json", "as_json", is_flag=True, help="Same as --format json.")

# What of a config templates may ask for though the image says nothing of it, as Docker's API has it
_CONFIG: Mapping[str, Any] = {
    "User": "",
    "ExposedPorts": {},
    "Env": (),
    "Cmd": None,
    "Healthcheck": None,
    "ArgsEscaped": False,
    "Volumes": {},
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": (),
    "Labels": {},
    "StopSignal": "",
    "StopTimeout": None,
    "Shell": None,
}
# Whose keys are the image's own
_MAPS = ("Labels", "ExposedPorts", "Volumes", "annotations", "Networks", "Ports")
_UNKNOWN = "N/A"


def _image_fields(row: ImageRow, whole: bool) -> dict[str, str]:
    return {
        "Repository": row.repository,
        "Tag": row.tag,
        "Digest": row.digest or "<none>",
        "ID": _id(row.id, whole),
        "CreatedSince": age(row.created),
        "CreatedAt": _at(row.created),
        "Size": size(row.size),
        "SharedSize": _UNKNOWN,
        "UniqueSize": _UNKNOWN,
        "Containers": _UNKNOWN,
    }


_IMAGES = Listing(
    headings={
        "Repository": "REPOSITORY",
        "Tag": "TAG",
        "Digest": "DIGEST",
        "ID": "IMAGE ID",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "Size": "SIZE",
        "SharedSize": "SHARED SIZE",
        "UniqueSize": "UNIQUE SIZE",
        "Containers": "CONTAINERS",
    },
    columns=("Repository", "Tag", "ID", "CreatedSince", "Size"),
    fields=_image_fields,
)
_WITH_DIGESTS = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")


@command(
    ("pybuild images", "list images"),
    ("pybuild images -q", "list only IDs"),
)
@quiet_option("IDs")
@no_trunc_option
@filter_option(IMAGES)
@click.option("--tree", is_flag=True, help="Show the images of indexes, too.")
@click.option("-a", "--all", is_flag=True, expose_value=False, help="All images, as without it.")
@click.option("--digests", is_flag=True, help="Show what repositories have the images by.")
@_json_option
@format_option
@root_option
@click.argument("name", default="", metavar="[REPOSITORY[:TAG]]")
def images(
    quiet: bool,
    no_trunc: bool,
    filters: tuple[str, ...],
    tree: bool,
    digests: bool,
    as_json: bool,
    form: str,
    root: str | None,
    name: str,
) -> None:
    """List images, all or those called REPOSITORY."""
    form = JSON if as_json else form
    if tree and (quiet or form != TABLE):
        raise click.UsageError("--tree is a table: it goes without --quiet and --format.")
    from builder.api import images as api

    with session(root) as opened:
        rows = api.images(opened, (*filters, *([f"reference={name}"] if name else [])))
    if tree:
        echo_table(("IMAGE", "ID", "CREATED", "SIZE"), [cells for row in rows for cells in _tree(row, no_trunc)])
    else:
        shown = _WITH_DIGESTS if digests else None
        echo_listing(_IMAGES, rows, form, whole=no_trunc, quiet="ID" if quiet else "", columns=shown)


@command(
    ("pybuild inspect app", "see all that is known of an image"),
)
@click.argument("names", nargs=-1, required=True, metavar="IMAGE|CONTAINER…")
@click.option("--type", "kind", type=Choice(("image", "container")), help="Only one of these.")
@platform_option
@document_format_option
@root_option
def inspect(names: tuple[str, ...], kind: str | None, platform: str, form: str, root: str | None) -> None:
    """Print all that is known of images, or of containers."""
    from builder.api import inspection as api

    with session(root) as opened:
        found = [api.inspect(opened, name, kind or "", platform) for name in names]
    if form != JSON:
        found = [{**each, "Config": {**_CONFIG, **each.get("Config", {})}} for each in found]
    echo_document(found, form, maps=_MAPS)


# A step with the ID of the image that ends with it: that of the image itself is known alone.
_Step = tuple[str, "HistoryRow"]


def _history_fields(step: _Step, whole: bool) -> dict[str, str]:
    identifier, row = step
    return {
        "ID": _id(identifier, whole),
        "CreatedSince": age(row.created),
        "CreatedAt": row.created or _UNKNOWN,
        "CreatedBy": _cut(row.created_by, whole),
        "Size": size(row.size),
        "Line": row.place,
        "Comment": row.comment,
    }


def _exact_fields(step: _Step, whole: bool) -> dict[str, str]:
    """With `--human=false`."""
    row = step[1]
    return {**_history_fields(step, whole), "CreatedSince": row.created or _UNKNOWN, "Size": str(row.size)}


_HISTORY = Listing(
    headings={
        "ID": "IMAGE",
        "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "CreatedBy": "CREATED BY",
        "Size": "SIZE",
        "Line": "LINE",
        "Comment": "COMMENT",
    },
    columns=("CreatedSince", "CreatedBy", "Size", "Line", "Comment"),
    fields=_history_fields,
    shrinks=("CreatedBy", "Comment"),
)


@command(
    ("pybuild history app", "see its steps"),
    ("pybuild history --no-trunc app", "see them whole"),
)
@click.argument("image")
@platform_option
@no_trunc_option
@quiet_option("the image's ID, and <missing> for the steps below it")
@click.option(
    "-H",
    "--human",
    type=bool,
    default=True,
    show_default=True,
    metavar="true|false",
    help="Sizes and times for people, or exact ones.",
)
@_json_option
@format_option
@root_option
def history(
    image: str, platform: str, no_trunc: bool, quiet: bool, human: bool, as_json: bool, form: str, root: str | None
) -> None:
    """Show the steps an image was made by, newest first."""
    from builder.api import images as api

    with session(root) as opened:
        identifier, rows = api.history(opened, image, platform)
    steps = [(identifier if number == 0 else "<missing>", row) for number, row in enumerate(rows)]
    listing = _HISTORY if human else replace(_HISTORY, fields=_exact_fields)
    if quiet:
        click.echo("".join(f"{_id(step[0], no_trunc)}\n" for step in steps), nl=False)
        return
    echo_listing(listing, steps, JSON if as_json else form, whole=no_trunc, facts=lambda step: step[1])


def _id(identifier: str, whole: bool) -> str:
    return identifier if whole else identifier.removeprefix("sha256:")[:12]


def _at(created: str | None) -> str:
    """`2026-01-31 12:00:00 +0000 UTC`, as Docker says it."""
    # lazy: only with a template
    from datetime import UTC, datetime

    try:
        then = datetime.fromisoformat(created or "").astimezone(UTC)
    except ValueError:
        return created or _UNKNOWN
    return f"{then:%Y-%m-%d %H:%M:%S} +0000 UTC"


def _tree(row: ImageRow, whole: bool) -> Iterator[tuple[str, str, str, str]]:
    """A line for a name, and one below it for each image of an index."""
    name = row.repository if row.tag == "<none>" else f"{row.repository}:{row.tag}"
    yield name, _id(row.id, whole), age(row.created), size(row.size)
    for number, image in enumerate(row.platforms, 1):
        branch = "└─" if number == len(row.platforms) else "├─"
        yield f"{branch} {image.platform}", _id(image.id, whole), "", size(image.size)


def _cut(text: str, whole: bool) -> str:
    line = " ".join(text.split())
    return line if whole or len(line) <= 45 else f"{line[:44]}…"
