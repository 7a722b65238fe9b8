"""Options and output shapes that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from builder.api.session import Session
from builder.cli.help import EVERYWHERE, F, section
from builder.cli.spelling import Choice
from builder.errors import StepFailedError
from builder.events import Note
from builder.progress.choose import KINDS, renderer

if TYPE_CHECKING:
    from builder.request import RegistryOptions

# Titles of sections that options of several modules stand in.
NETWORK, REGISTRIES, SHOWN = "Network", "Registries", "What is shown"

_NAMES = (
    click.option(
        "--add-host",
        "add_hosts",
        multiple=True,
        metavar="HOST=IP",
        help="Line of /etc/hosts; host-gateway as IP is this machine.",
    ),
    click.option("--dns", multiple=True, metavar="IP", help="Name server, instead of this machine's."),
    click.option(
        "--dns-search", multiple=True, metavar="DOMAIN", help="Search domain, instead of this machine's; . is none."
    ),
    click.option(
        "--dns-option", "dns_options", multiple=True, metavar="OPTION", help="Option of its /etc/resolv.conf."
    ),
)


def gathering(
    title: str, options: Sequence[Callable[[Any], Any]], gathered: Callable[[Mapping[str, Any]], Any], command: F
) -> F:
    """`command` with `options`, under `title`, of which it is handed what `gathered` makes of all it is given."""

    @wraps(command)
    def called(**given: Any) -> Any:
        return command(**gathered(given))

    return section(title, *options)(cast("F", called))


def root_option(command: F) -> F:
    """`--root DIR`, also after the command."""
    said = "Directory of the store (also PYBUILD_ROOT)."
    return section(EVERYWHERE, click.option("--root", "root", metavar="DIR", help=said))(command)


def names_options(command: F) -> F:
    """`--add-host`, `--dns`, `--dns-search`, `--dns-option`."""
    return section(NETWORK, *_NAMES)(command)


def progress_option(command: F) -> F:
    """`--progress`."""
    option = click.option(
        "--progress",
        type=Choice(KINDS),
        default="auto",
        show_default=True,
        envvar="PYBUILD_PROGRESS",
        help="How the work is shown.",
    )
    return section(SHOWN, option)(command)


def platform_option(command: F) -> F:
    """`--platform`, of commands that look at an image."""
    said = "Which image of an index; default: this machine's."
    return click.option("--platform", default="", metavar="OS/ARCH", help=said)(command)


def offline_option(command: F) -> F:
    """`--offline`, which goes with `registry_options`."""
    said = "Ask no server: take what is in the store (also PYBUILD_OFFLINE)."
    return section(REGISTRIES, click.option("--offline", is_flag=True, help=said))(command)


def lock_file_option(command: F) -> F:
    """`--lock-file FILE`."""
    said = "The lock. Default: that beside the Buildfile, called <Buildfile>.lock."
    return click.option("--lock-file", metavar="FILE", help=said)(command)


def format_option(command: F) -> F:
    """`--format table|json`."""
    return click.option(
        "--format",
        "form",
        type=Choice(("table", "json")),
        default="table",
        show_default=True,
        help="Output form.",
    )(command)


@contextmanager
def session(root: str | None, progress: str = "quiet", registries: RegistryOptions | None = None) -> Iterator[Session]:
    """A session on the store the user chose, watched by a renderer. `registries` as `registry_options` gives them."""
    chosen = Path(root) if root else click.get_current_context().find_root().obj
    shown = renderer(progress, sys.stderr)
    try:
        with Session(chosen, shown, registries) as opened:
            yield opened
    except StepFailedError as error:
        if shown.keeps_logs:
            error.log = ()  # it stands right above
        raise
    finally:
        shown.close()


def echo_above(opened: Session, line: str) -> None:
    """Print a line while work is shown: above what the renderer draws, where both are on a terminal."""
    if sys.stdout.isatty():
        opened.emit(Note(line))
    else:
        click.echo(line)


def echo_json(value: Any) -> None:
    """Print a value as indented JSON."""
    # lazy: only with --format json
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def echo_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a head, columns aligned as Docker does."""
    everything = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) + 3 for column in zip(*everything, strict=True)]
    lines = ("".join(map(str.ljust, row, widths)).rstrip() for row in everything)
    click.echo("\n".join(lines))  # at once: there may be thousands


def pairs(values: Sequence[str], option: str) -> tuple[tuple[str, str], ...]:
    """`NAME=VALUE` words as pairs; a bare name takes its value from the environment, if it is there."""
    # lazy: cheap, but only with such options
    import os

    found = []
    for value in values:
        name, equals, rest = value.partition("=")
        if not name:
            raise click.BadParameter(f"{value!r} has no name", param_hint=option)
        if equals:
            found.append((name, rest))
        elif name in os.environ:
            found.append((name, os.environ[name]))
    return tuple(found)
