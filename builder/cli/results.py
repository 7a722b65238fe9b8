"""Options of `build` that say what becomes of the image: its names, and where else it goes."""

from __future__ import annotations

import click

from builder.cli.help import F, section
from builder.cli.options import RESULTS

_OPTIONS = (
    click.option(
        "-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name of the image; may be given often."
    ),
    click.option("--label", "labels", multiple=True, metavar="NAME[=VALUE]", help="Label of the image."),
    click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="SPEC",
        help="Also write, as type=oci, docker, tar or local, dest=PATH; or push, as type=registry or image, name=NAME.",
    ),
    click.option("--load", is_flag=True, help="Keep the image in the store, also with --output."),
    click.option("--push", is_flag=True, help="Push the image by its names; short for --output type=registry."),
    click.option(
        "--sign-key", metavar="FILE", help="Sign what is pushed with the private key in FILE, as cosign does."
    ),
    click.option(
        "--annotation",
        "annotations",
        multiple=True,
        metavar="[KIND:]KEY=VALUE",
        help="Annotation of the manifest, or of what KIND says: index, manifest-descriptor, index-descriptor.",
    ),
    click.option(
        "--provenance",
        is_flag=False,
        flag_value="true",
        metavar="[=BOOL|mode=min|max,…]",
        help="Tell how the image came about, beside it: short for --attest type=provenance.",
    ),
    click.option(
        "--sbom",
        is_flag=False,
        flag_value="true",
        metavar="[=BOOL|format=spdx|cyclonedx]",
        help="Tell what packages are in the image, beside it: short for --attest type=sbom.",
    ),
    click.option(
        "--attest",
        multiple=True,
        metavar="type=provenance|sbom,…",
        help="What is told of the image beside it; may be given often.",
    ),
    click.option(
        "--squash",
        is_flag=False,
        flag_value="",
        metavar="[=STAGE]",
        help="Merge what is built into one layer in the image; with =STAGE, what lies above that stage.",
    ),
    click.option("--iidfile", metavar="FILE", help="Write the image ID to FILE."),
    click.option("--metadata-file", metavar="FILE", help="Write what was made to FILE, as JSON with buildx's names."),
)


def result_options(command: F) -> F:
    """What becomes of the image."""
    return section(RESULTS, *_OPTIONS)(command)
