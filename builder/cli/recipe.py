"""Options that say what is built: Buildfile, target, arguments, platform, contexts. `graph` takes them, too."""

from __future__ import annotations

import os

import click

from builder.cli.help import F, section
from builder.cli.options import BUILT, pairs, root_option

_OPTIONS = (
    click.argument("context", default=".", metavar="PATH"),
    click.option(
        "-f",
        "--file",
        metavar="FILE",
        help="The Buildfile; - is standard input. Default: Buildfile, Dockerfile or Containerfile in PATH.",
    ),
    click.option(
        "--target",
        default="",
        metavar="STAGE",
        help="Stage to build, by name or number. Default: the last.",
    ),
    click.option(
        "--build-arg",
        "build_args",
        multiple=True,
        metavar="NAME[=VALUE]",
        help="Value of an ARG; without =VALUE, from the environment.",
    ),
    click.option(
        "--source-date-epoch",
        default="",
        metavar="SECONDS|context",
        help="Time of all that is made, for images that are the same whenever built (also SOURCE_DATE_EPOCH).",
    ),
    click.option(
        "--platform",
        multiple=True,
        callback=lambda _context, _option, values: ",".join(values),
        envvar="DOCKER_DEFAULT_PLATFORM",
        metavar="OS/ARCH,…",
        help="Platforms of the image, an image each under one index. Default: this machine's.",
    ),
    click.option(
        "--build-context",
        "build_contexts",
        multiple=True,
        metavar="NAME=VALUE",
        help="What FROM NAME and --from=NAME mean: directory, docker-image://, oci-layout://, target:STAGE, URL.",
    ),
    root_option,
)


def recipe_options(command: F) -> F:
    """What is built."""
    return section(BUILT, *_OPTIONS)(command)


def contexts_of(values: tuple[str, ...]) -> dict[str, str]:
    """--build-context as a mapping."""
    found = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not (name and equals and rest):
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", param_hint="--build-context")
        found[name] = rest
    return found


def arguments_of(build_args: tuple[str, ...], source_date_epoch: str) -> dict[str, str]:
    """The build arguments. --source-date-epoch is one too: it beats --build-arg, and that the environment."""
    found = dict(pairs(build_args, "--build-arg"))
    inherited = os.environ.get("SOURCE_DATE_EPOCH", "")
    if source_date_epoch or (inherited and "SOURCE_DATE_EPOCH" not in found):
        found["SOURCE_DATE_EPOCH"] = source_date_epoch or inherited
    return found
