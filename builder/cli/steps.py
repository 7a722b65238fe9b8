"""Options of `build` that say how its steps run, and what is done with those that fail."""

from __future__ import annotations

import click

from builder.cli.help import F, section
from builder.cli.options import NETWORK, STEPS, names_options
from builder.cli.spelling import Choice

_network = click.option(
    "--network",
    "--net",
    type=Choice(("default", "host", "none", "private")),
    default="default",
    callback=lambda _context, _option, value: "default" if value == "private" else value,
    metavar="default|host|none|private",
    show_default=True,
    help="Network of RUN steps.",
)
_OPTIONS = (
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="SPEC",
        help="Secret for RUN --mount=type=secret: id=NAME, with src=FILE or env=VARIABLE, and cachekey=true.",
    ),
    click.option(
        "--ssh",
        multiple=True,
        metavar="ID[=SOCKET]",
        help="SSH agent for RUN --mount=type=ssh; without =SOCKET, the one of SSH_AUTH_SOCK.",
    ),
    click.option(
        "--allow",
        multiple=True,
        metavar="ENTITLEMENT",
        help="What RUN steps may ask for: network.host, security.insecure.",
    ),
    click.option(
        "-j",
        "--jobs",
        "parallelism",
        type=click.IntRange(0, 64),
        callback=lambda _context, _option, value: value or 64,
        metavar="N",
        default=4,
        show_default=True,
        help="How many steps run at once; 0: as many as can be.",
    ),
    click.option("--retry", metavar="N[,delay=TIME]", help="Try a RUN that failed again, N times, after TIME each."),
    click.option(
        "--keep-failed",
        type=click.IntRange(0),
        default=3,
        show_default=True,
        metavar="N",
        help="How many failed steps are kept for `pybuild shell --failed`.",
    ),
    click.option(
        "--on-fail-export",
        multiple=True,
        metavar="PATH:DEST",
        help="When a RUN fails, copy the file or directory PATH out of it to DEST.",
    ),
    click.option(
        "--step-export",
        multiple=True,
        metavar="STEP:PATH:DEST",
        help="Copy PATH out of a step that succeeds: of a stage, a line, or FILE:LINE.",
    ),
    click.option("--step-timeout", metavar="TIME", help="How long a RUN may take, as in 90s, 10m."),
)


def step_options(command: F) -> F:
    """How steps run."""
    return section(STEPS, *_OPTIONS)(section(NETWORK, _network, names_options)(command))
