"""Commands on images of the store: in, out, named, removed. Those that show them: cli/imagelist."""

from __future__ import annotations

import time

import click

from builder.cli.help import command
from builder.cli.options import root_option, session, where_watched
from builder.cli.spelling import Choice


@command(
    ("pybuild import rootfs.tar.gz debian", "make an image of a tar"),
    ("pybuild import --from-host sh,ls,cat tools", "make one of programs of this machine"),
    short="Make an image of a root file system",
    name="import",
)
@click.argument("source", metavar="FILE|-", required=False)
@click.argument("name", required=False)
@click.option("--from-host", metavar="PROGRAM,…", help="Make the image of these programs of this machine instead.")
@click.option(
    "--source-date-epoch",
    default="",
    metavar="SECONDS",
    envvar="SOURCE_DATE_EPOCH",
    help="When the image was made, so that the same tar is the same image (also SOURCE_DATE_EPOCH).",
)
@root_option
def import_(
    source: str | None, name: str | None, from_host: str | None, source_date_epoch: str, root: str | None
) -> None:
    """Make an image NAME of the tar of a root file system (plain, gzip, zstd, xz, bzip2), or --from-host."""
    from builder.api import images as api

    if from_host is not None:
        if source is None or name is not None:
            raise click.UsageError("--from-host takes one argument: the NAME of the image.")
        with session(root) as opened:
            click.echo(str(api.import_from_host(opened, [p for p in from_host.split(",") if p], source).config))
        return
    if source is None or name is None:
        raise click.UsageError("FILE (or -) and NAME are needed.")
    with session(root) as opened:
        click.echo(str(api.import_rootfs(opened, source, name, source_date_epoch).config))


@command(
    ("pybuild load -i images.tar", "take in what docker save has written"),
    ("pybuild load layout/", "take in an OCI layout"),
    short="Take in images of an archive or layout",
)
@click.argument("archive", required=False, metavar="[FILE|DIRECTORY]")
@click.option("-i", "--input", "input_", metavar="FILE", help="The archive or directory; default: standard input.")
@click.option("--platform", default="", metavar="OS/ARCH", help="Only this image of an index; default: all.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@root_option
def load(archive: str | None, input_: str | None, platform: str, quiet: bool, root: str | None) -> None:
    """Take in the images of a docker or OCI archive, or of an OCI layout directory."""
    from builder.api import images as api

    with session(root, where_watched("quiet")) as opened:
        loaded = api.load(opened, input_ or archive or "-", platform)
    lines = [[f"Loaded image: {n}" for n in i.names] or [f"Loaded image ID: {api.identity(i)}"] for i in loaded]
    if not quiet:
        # An OCI archive has an image once for each of its names.
        for line in dict.fromkeys(line for image in lines for line in image):
            click.echo(line)


@command(
    ("pybuild save -o app.tar app", "write an archive for docker load"),
    ("pybuild save --format oci-dir -o layout app", "write an OCI layout"),
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE…")
@click.option("-o", "--output", default="-", metavar="FILE", help="File to write; default: standard output.")
@click.option(
    "--format",
    "form",
    type=Choice(("docker", "oci", "oci-dir")),
    default="docker",
    show_default=True,
    help="Kind of archive, or a directory.",
)
@click.option(
    "--compression",
    type=Choice(("gzip", "zstd", "uncompressed")),
    help="Layers of an oci archive; default: as they are.",
)
@click.option(
    "--platform",
    default="",
    metavar="OS/ARCH",
    help="Only this image of an index; default: in an oci archive all, else this machine's.",
)
@root_option
def save(
    images: tuple[str, ...], output: str, form: str, platform: str, compression: str | None, root: str | None
) -> None:
    """Write images to an archive."""
    from builder.api.save import save as write

    kind, _, directory = form.partition("-")
    if compression and kind != "oci":
        raise click.UsageError("--compression goes with --format oci.")
    options = {"compression": compression, "force-compression": "true"} if compression else {}
    if directory:
        options["tar"] = "false"
    with session(root, where_watched("plain")) as opened:
        write(opened, images, kind, output, options, platform)


@command(
    ("pybuild tag app example.org/app:1", "name it for a registry"),
)
@click.argument("image")
@click.argument("name")
@root_option
def tag(image: str, name: str, root: str | None) -> None:
    """Give IMAGE another NAME."""
    from builder.api import images as api

    with session(root) as opened:
        api.tag(opened, image, name)


@command(
    ("pybuild rmi app:1", "take a name away, and the image if it was its last"),
    short="Remove names of images, and images with none left",
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE…")
@click.option("-f", "--force", is_flag=True, help="Also an image that has several names or a container.")
@root_option
def rmi(images: tuple[str, ...], force: bool, root: str | None) -> None:
    """Remove names of images, and images that have none left."""
    from builder.api import images as api

    with session(root) as opened:
        api.untag(opened, images, force=force, tell=click.echo)


def age(created: str | None) -> str:
    """`3 minutes ago`, as Docker says it; what is not a time is shown as it is."""
    if created is None:
        return "N/A"
    # lazy: only for tables
    from datetime import datetime

    try:
        then = datetime.fromisoformat(created[:19] + "+00:00").timestamp()
    except ValueError:
        return created
    return f"{spell(time.time() - then)} ago"


def spell(seconds: float) -> str:
    """A duration in words, as go-units' HumanDuration has it."""
    minutes, hours = int(seconds / 60), int(seconds / 3600 + 0.5)
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return _counted(int(seconds), "second")
    if minutes < 60:
        return "About a minute" if minutes == 1 else _counted(minutes, "minute")
    if hours < 48:
        return "About an hour" if hours == 1 else _counted(hours, "hour")
    if hours < 14 * 24:
        return _counted(hours // 24, "day")
    if hours < 60 * 24:
        return _counted(hours // (7 * 24), "week")
    if hours < 730 * 24:
        return _counted(hours // (30 * 24), "month")
    return _counted(int(seconds / 3600) // (365 * 24), "year")


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' * (number != 1)}"
