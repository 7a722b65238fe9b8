"""`keygen`: a pair of keys to sign images with."""

from __future__ import annotations

import click

from builder.cli.help import command


@command(
    ("pybuild keygen --output-key-prefix release", "make release.key and release.pub"),
    short="Make a pair of keys to sign with",
)
@click.option(
    "--output-key-prefix", "prefix", default="cosign", metavar="PREFIX", show_default=True, help="What both are called."
)
@click.option("-f", "--force", is_flag=True, help="Write over keys that are there.")
def keygen(prefix: str, force: bool) -> None:
    """Make a pair of keys, PREFIX.key and PREFIX.pub, as cosign has them."""
    # lazy: as all of api
    from builder.api.keys import keygen as make

    private, public = make(prefix, force=force)
    click.echo(f"Private key written to {private}")
    click.echo(f"Public key written to {public}")
