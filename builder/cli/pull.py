"""The command `pull`."""

from __future__ import annotations

import click

from builder.api.session import Session
from builder.cli.help import command
from builder.cli.options import echo_above, progress_option, root_option, session
from builder.cli.registries import creds_option, registry_options, verify_option
from builder.digest import Digest
from builder.image.reference import DEFAULT_TAG, Reference
from builder.request import RegistryOptions


@command(
    ("pybuild pull debian:12", "fetch an image from the default registry"),
    ("pybuild pull --platform linux/arm64 example.org/app", "fetch that for another platform"),
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE…")
@click.option("-a", "--all-tags", is_flag=True, help="All images of the repository IMAGE.")
@click.option(
    "--platform",
    default="",
    envvar="DOCKER_DEFAULT_PLATFORM",
    metavar="OS/ARCH",
    help="Which image of several; default: this machine's.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only names.")
@registry_options
@creds_option
@verify_option
@progress_option
@root_option
def pull(
    images: tuple[str, ...],
    all_tags: bool,
    platform: str,
    quiet: bool,
    registries: RegistryOptions,
    progress: str,
    root: str | None,
) -> None:
    """Fetch images from registries."""
    # lazy: as all of api
    from builder.api import pull as api

    with session(root, "quiet" if quiet else progress, registries) as opened:
        for text in images:
            wanted = api.tags(opened, text) if all_tags else [_parsed(text, quiet=quiet)]
            for reference in wanted:
                _pull(opened, reference, platform, quiet=quiet)


def _parsed(text: str, *, quiet: bool) -> Reference:
    reference = Reference.parse(text)
    if not (quiet or reference.tag or reference.digest):
        click.echo(f"Using default tag: {DEFAULT_TAG}")
    return reference.tagged()


def _pull(opened: Session, reference: Reference, platform: str, *, quiet: bool) -> None:
    """Pull one image and tell of it as `docker pull` does."""
    # lazy: as above
    from builder.api import pull as api

    def tell(blob: Digest, state: str) -> None:
        echo_above(opened, f"{blob.short}: {state}")

    if quiet:
        api.pull(opened, reference, platform)
    else:
        click.echo(f"{reference.digest or reference.tag}: Pulling from {reference.path}")
        done = api.pull(opened, reference, platform, tell)
        status = "Downloaded newer image for" if done.new else "Image is up to date for"
        click.echo(f"Digest: {done.digest}\nStatus: {status} {reference.familiar()}")
    click.echo(str(reference))
