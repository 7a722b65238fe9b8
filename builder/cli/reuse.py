"""Options of `build` that say what may be taken from earlier builds and from registries, and what is trusted."""

from __future__ import annotations

import click

from builder.cli.help import F, section
from builder.cli.options import REUSED, lock_file_option
from builder.cli.spelling import Choice
from builder.image import pulling
from builder.request import AS_IS, CONTEXT_MODES

PULL_WORDS = {"true": pulling.ALWAYS, "false": pulling.MISSING}

_OPTIONS = (
    click.option("--no-cache", is_flag=True, help="Run every step again."),
    click.option(
        "--no-cache-filter",
        multiple=True,
        metavar="STAGE[,STAGE]",
        help="Run the steps of these stages again, by name or number; may be given often.",
    ),
    click.option(
        "--no-cache-step",
        multiple=True,
        metavar="[FILE:]LINE",
        help="Run the step on this line of the Buildfile again; may be given often.",
    ),
    click.option(
        "--pull",
        type=Choice((*pulling.POLICIES, *PULL_WORDS)),
        default=pulling.MISSING,
        is_flag=False,
        flag_value=pulling.ALWAYS,
        metavar="[=always|missing|newer|never]",
        help="When to ask registries for base images; alone: always. Default: missing.",
    ),
    click.option(
        "--cache-from",
        multiple=True,
        metavar="SPEC",
        help="Cache that other machines share, to read: a reference, type=registry,ref=REF or type=local,src=DIR.",
    ),
    click.option(
        "--cache-to",
        multiple=True,
        metavar="SPEC",
        help="Cache to write: a reference, type=registry,ref=REF, type=local,dest=DIR or type=inline; mode=min|max.",
    ),
    click.option(
        "--paranoid",
        is_flag=True,
        help="Trust nothing that is remembered: hash every file, and the layers of cached steps.",
    ),
    click.option(
        "--context-mode",
        type=Choice(CONTEXT_MODES),
        default=AS_IS,
        show_default=True,
        help="Modes of the context's files: as they are, or as git records them, whatever the umask.",
    ),
    lock_file_option,
    click.option("--locked", is_flag=True, help="Fail when something is not in the lock."),
    click.option("--no-lock", is_flag=True, help="Take names for what they mean now, whatever the lock says."),
)


def reuse_options(command: F) -> F:
    """What may be reused."""
    return section(REUSED, *_OPTIONS)(command)
