"""The group `manifest`: indexes put together by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from builder.cli.help import F, command
from builder.cli.lazy import LazyGroup
from builder.cli.listing import document_format_option, echo_document
from builder.cli.options import gathering, pairs, progress_option, root_option, session
from builder.cli.registries import creds_option, pushed_options, registry_options
from builder.events import Note
from builder.image.lists import Words
from builder.request import RegistryOptions

_HERE = "builder.cli.manifest"
_TABLE = {
    "create": f"{_HERE}:create",
    "add": f"{_HERE}:add",
    "annotate": f"{_HERE}:annotate",
    "inspect": f"{_HERE}:inspect",
    "exists": f"{_HERE}:exists",
    "push": f"{_HERE}:push",
    "remove": f"{_HERE}:remove",
    "rm": f"{_HERE}:rm",
}
_WORDS = (
    click.option("--os", "system", default="", metavar="OS", help="Its operating system."),
    click.option("--arch", default="", metavar="ARCH", help="Its architecture."),
    click.option("--variant", default="", metavar="VARIANT", help="Variant of the architecture."),
    click.option("--os-version", default="", metavar="VERSION", help="Version of the operating system."),
    click.option("--os-features", multiple=True, metavar="FEATURE,…", help="What it needs of the operating system."),
    click.option("--features", multiple=True, metavar="FEATURE,…", help="What it needs of the processor."),
    click.option("--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Annotation of its entry."),
)
_everything = click.option("--all", "everything", is_flag=True, help="Of an index, all its images.")


@click.group(
    examples=(
        ("pybuild manifest create app app:amd64 app:arm64", "make an index of two images"),
        ("pybuild manifest push app example.org/app:1", "send it, with both"),
    ),
    short_help="Put images together, one for each platform",
    cls=LazyGroup,
    table=_TABLE,
)
def manifest() -> None:
    """Put images together in indexes, one for each platform."""


def _word_options(command: F) -> F:
    """The options, handed to `command` as one Words `words`."""
    return gathering("What is said of an image", _WORDS, _gathered_words, command)


def _gathered_words(given: Mapping[str, Any]) -> dict[str, Any]:
    def split(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(part for value in values for part in value.split(",") if part)

    rest = dict(given)
    words = Words(
        rest.pop("system"),
        rest.pop("arch"),
        rest.pop("variant"),
        rest.pop("os_version"),
        split(rest.pop("os_features")),
        split(rest.pop("features")),
        pairs(rest.pop("annotations"), "--annotation"),
    )
    return {**rest, "words": words}


@command(
    ("pybuild manifest create app app:amd64 app:arm64", "make an index of two images"),
    ("pybuild manifest create --amend app app:riscv64", "add a third to it"),
)
@click.argument("name")
@click.argument("images", nargs=-1, metavar="[IMAGE]…")
@click.option("-a", "--amend", is_flag=True, help="Add to an index of that name, if there is one.")
@_everything
@click.option("--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Annotation of the index.")
@registry_options
@creds_option
@root_option
def create(
    name: str,
    images: tuple[str, ...],
    amend: bool,
    everything: bool,
    annotations: tuple[str, ...],
    registries: RegistryOptions,
    root: str | None,
) -> None:
    """Make an index NAME of images, of the store or of registries."""
    from builder.api import manifests as api

    noted = pairs(annotations, "--annotation")
    with session(root, registries=registries) as opened:
        made = api.create(opened, name, images, amend=amend, everything=everything, annotations=noted)
    click.echo(str(made))


@command(
    ("pybuild manifest add app app:arm64", "add an image"),
    ("pybuild manifest add --arch arm64 app rootfs", "add one that does not say what it is for"),
)
@click.argument("name")
@click.argument("image")
@_everything
@_word_options
@registry_options
@creds_option
@root_option
def add(
    name: str,
    image: str,
    everything: bool,
    words: Words,
    registries: RegistryOptions,
    root: str | None,
) -> None:
    """Add an image, of the store or of a registry, to the index NAME."""
    from builder.api import manifests as api

    with session(root, registries=registries) as opened:
        click.echo(str(api.add(opened, name, image, words, everything=everything)))


@command(
    ("pybuild manifest annotate --variant v8 app app:arm64", "name the variant of its platform"),
    short="Say something else of an image of an index",
)
@click.argument("name")
@click.argument("image", required=False)
@click.option("--index", "whole", is_flag=True, help="Annotate the index itself.")
@_word_options
@root_option
def annotate(
    name: str,
    image: str | None,
    whole: bool,
    words: Words,
    root: str | None,
) -> None:
    """Say something else of an image of the index NAME: by its digest, its ID or its name."""
    from builder.api import manifests as api

    if whole == (image is not None):
        raise click.UsageError("IMAGE or --index is needed, and not both.")
    with session(root) as opened:
        click.echo(str(api.annotate(opened, name, image or "", words)))


@command(
    ("pybuild manifest inspect app", "see what is in an index"),
)
@click.argument("name")
@click.option("-v", "--verbose", is_flag=True, help="Print each image's manifest, too.")
@document_format_option
@registry_options
@creds_option
@root_option
def inspect(name: str, verbose: bool, form: str, registries: RegistryOptions, root: str | None) -> None:
    """Print an index or a manifest, of the store or of a registry."""
    from builder.api import manifests as api

    with session(root, registries=registries) as opened:
        echo_document(api.inspect(opened, name, verbose=verbose), form, maps=("annotations",))


@command(
    ("pybuild manifest exists app", "ask for one in a script"),
)
@click.argument("name")
@root_option
def exists(name: str, root: str | None) -> None:
    """End with 0 if there is an index NAME in the store, else with 1."""
    from builder.api import manifests as api

    with session(root) as opened:
        found = api.exists(opened, name)
    click.get_current_context().exit(int(not found))


@command(
    ("pybuild manifest push app example.org/app:1", "send it as another name"),
    short="Send an index with its images to a registry",
)
@click.argument("name")
@click.argument("destination", required=False)
@click.option("--all", "everything", is_flag=True, help="Also its images, as always.")
@click.option("-p", "--purge", "--rm", "purge", is_flag=True, help="Remove it from the store then.")
@pushed_options
@click.option("-q", "--quiet", is_flag=True, help="Print only the digest.")
@registry_options
@creds_option
@progress_option
@root_option
def push(
    name: str,
    destination: str | None,
    everything: bool,
    purge: bool,
    digestfile: str | None,
    sign_key: str | None,
    quiet: bool,
    registries: RegistryOptions,
    progress: str,
    root: str | None,
) -> None:
    """Send the index NAME with its images to a registry, as DESTINATION or by its name."""
    from builder.api import manifests as api

    with session(root, "quiet" if quiet else progress, registries) as opened:

        def tell(line: str) -> None:
            opened.emit(Note(line))

        done = api.push(opened, name, destination, tell, purge=purge, digestfile=digestfile, sign_key=sign_key)
        click.echo(str(done))


@command(
    ("pybuild manifest remove app app:arm64", "take one image out"),
    short="Take images out of an index",
)
@click.argument("name")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE…")
@root_option
def remove(name: str, images: tuple[str, ...], root: str | None) -> None:
    """Take images out of the index NAME: by their digests, IDs or names."""
    from builder.api import manifests as api

    with session(root) as opened:
        click.echo(str(api.remove(opened, name, images)))


@command(
    ("pybuild manifest rm app", "remove it, and what only it has"),
)
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@root_option
def rm(names: tuple[str, ...], root: str | None) -> None:
    """Remove indexes, and the images that only they have."""
    from builder.api import images as images_api
    from builder.api import manifests as api

    with session(root) as opened:
        api.check(opened, names)
        images_api.untag(opened, names, tell=click.echo)
