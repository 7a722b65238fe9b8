"""The command `push`."""

from __future__ import annotations

import click

from builder.cli.help import command
from builder.cli.options import echo_above, progress_option, root_option, session
from builder.cli.registries import creds_option, pushed_options, registry_options
from builder.cli.spelling import Choice
from builder.image.reference import DEFAULT_TAG, Reference
from builder.request import RegistryOptions


@command(
    ("pybuild push example.org/app:1", "send an image to the registry in its name"),
    ("pybuild push --compression zstd example.org/app", "compress its layers by zstd"),
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE[:TAG]…")
@click.option("-a", "--all-tags", is_flag=True, help="All images of the repository IMAGE that the store has.")
@click.option("--platform", default="", metavar="OS/ARCH", help="Of an image for several platforms the one for this.")
@click.option(
    "--compression",
    type=Choice(("gzip", "zstd", "uncompressed")),
    help="Of layers made here; default: gzip. Others stay as they came.",
)
@click.option("--compression-level", metavar="N", help="1 to 9 for gzip, 1 to 22 for zstd.")
@click.option("--force-compression", is_flag=True, help="Of layers that came from elsewhere, too.")
@pushed_options
@click.option("-q", "--quiet", is_flag=True, help="Print only names.")
@registry_options
@creds_option
@progress_option
@root_option
def push(
    images: tuple[str, ...],
    all_tags: bool,
    platform: str,
    compression: str | None,
    compression_level: str | None,
    force_compression: bool,
    digestfile: str | None,
    sign_key: str | None,
    quiet: bool,
    registries: RegistryOptions,
    progress: str,
    root: str | None,
) -> None:
    """Send images to their registries."""
    # lazy: as all of api
    from builder.api.push import push as run_push

    options = {
        "compression": compression,
        "compression-level": compression_level,
        "force-compression": "true" if force_compression else None,
    }
    for text in () if quiet or all_tags else images:
        name = Reference.parse(text)
        if not (name.tag or name.digest):
            click.echo(f"Using default tag: {DEFAULT_TAG}")
    with session(root, "quiet" if quiet else progress, registries) as opened:

        def tell(line: str) -> None:
            if not quiet:
                echo_above(opened, line)

        given = {name: value for name, value in options.items() if value is not None}
        pushed = run_push(
            opened,
            images,
            tell,
            given,
            all_tags=all_tags,
            platform=platform,
            digestfile=digestfile,
            sign_key=sign_key,
        )
    if quiet:
        for each in pushed:
            click.echo(str(each.name))
