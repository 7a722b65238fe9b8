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
    click.option(
        "--tls-verify",
        type=bool,
        is_flag=False,
        flag_value="true",
        default=True,
        metavar="[=BOOL]",
        help="=false: no registry need prove who it is, as with --insecure-registry.",
    ),
    click.option("--cert-dir", metavar="DIR", help="CAs and certificates for all registries, as certs.d has for one."),
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
        creds=_login(rest.pop("creds", None)),
        tls_verify=rest.pop("tls_verify"),
        cert_dir=rest.pop("cert_dir"),
    )
    return {**rest, "registries": found}


def creds_option(command: F) -> F:
    """`--creds`, of commands that pull or push; stands below `registry_options`, whose value it is part of."""
    said = "Name and password for all registries, instead of those that are kept; without a password it is asked for."
    return section(REGISTRIES, click.option("--creds", metavar="NAME[:PASSWORD]", help=said))(command)


def _login(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    name, colon, password = text.partition(":")
    if not name:
        raise click.BadParameter(f"{text!r} has no name", param_hint="--creds")
    return name, password if colon else str(click.prompt("Password", hide_input=True, err=True))


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
