"""Options of all commands that talk to registries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from builder.cli.help import F, section
from builder.cli.options import REGISTRIES, gathering
from builder.request import RegistryOptions

_OPTIONS = (
    click.option(
        "--insecure-registry",
        "insecure_registries",
        multiple=True,
        metavar="HOST",
        help="Registry that need not prove who it is, and may speak plain HTTP; may be given often.",
    ),
    click.option(
        "--registry-mirror",
        "registry_mirrors",
        multiple=True,
        metavar="URL",
        help="Mirror of the default registry, asked before it; may be given often.",
    ),
    click.option("--authfile", metavar="FILE", help="The file with credentials (also REGISTRY_AUTH_FILE)."),
)

_PUSHED = (
    click.option("--digestfile", metavar="FILE", help="Write the digest of what was pushed to FILE."),
    click.option(
        "--sign-key", metavar="FILE", help="Sign what is pushed with the private key in FILE, as cosign does."
    ),
)


def gathered_registries(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options `given`, those of registries as one value `registries`."""
    rest = dict(given)
    found = RegistryOptions(
        insecure=rest.pop("insecure_registries"),
        mirrors=rest.pop("registry_mirrors"),
        authfile=rest.pop("authfile"),
        offline=rest.pop("offline", False),
        verify_keys=rest.pop("verify_keys", ()),
    )
    return {**rest, "registries": found}


def verify_option(command: F) -> F:
    """`--verify-key`, of commands that pull; stands below `registry_options`, whose value it is part of."""
    option = click.option(
        "--verify-key",
        "verify_keys",
        multiple=True,
        metavar="FILE",
        help="Public key that must have signed each image that is taken; with several, one of them.",
    )
    return section(REGISTRIES, option)(command)


def pushed_options(command: F) -> F:
    """`--digestfile` and `--sign-key`, of commands that push."""
    return section(REGISTRIES, *_PUSHED)(command)


def registry_options(command: F) -> F:
    """The options, handed to `command` as one RegistryOptions `registries`, which `session` takes."""
    return gathering(REGISTRIES, _OPTIONS, gathered_registries, command)
