"""Options and output shapes that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from builder.api.session import Session
from builder.cli.help import EVERYWHERE, F, section
from builder.cli.spelling import Choice
from builder.errors import StepFailedError, UsageError, alike
from builder.events import Note
from builder.progress.choose import renderer
from builder.progress.look import FOLDS, KINDS, Look

if TYPE_CHECKING:
    from builder.request import RegistryOptions
    from builder.template.evaluate import Template

# Titles of sections that options of several modules stand in.
NETWORK, REGISTRIES, SHOWN = "Network", "Registries", "What is shown"
BUILT, RESULTS, REUSED, STEPS = "What is built", "What becomes of it", "What is reused", "How steps run"

# Of `--format`; all else is a template.
TABLE, JSON = "table", "json"

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


def _noted(ctx: click.Context, option: click.Parameter, value: Any) -> None:
    ctx.meta[f"{__name__}.{option.name}"] = value


_PROGRESS = (
    click.option(
        "--progress",
        type=Choice(KINDS),
        default="auto",
        show_default=True,
        envvar=["PYBUILD_PROGRESS", "BUILDKIT_PROGRESS"],
        help="How the work is shown.",
    ),
    click.option(
        "--timestamps",
        is_flag=True,
        envvar="PYBUILD_TIMESTAMPS",
        expose_value=False,
        callback=_noted,
        help="Put the time before each line of the plain progress.",
    ),
    click.option(
        "--fold",
        type=Choice(FOLDS),
        default="auto",
        show_default=True,
        envvar="PYBUILD_FOLD",
        expose_value=False,
        callback=_noted,
        help="Markers by which a CI service folds the plain progress.",
    ),
)


def progress_option(command: F) -> F:
    """`--progress`, and what there is to say of it: see `look`."""
    return section(SHOWN, *_PROGRESS)(command)


def look(progress: str) -> Look:
    """How the command that runs is to show its work, by the value of its `--progress` and by what goes with that."""
    said = click.get_current_context().meta
    return Look(progress, said.get(f"{__name__}.fold", "auto"), said.get(f"{__name__}.timestamps", False))


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


class Format(click.ParamType[str]):
    """`table`, `json`, or a template, which is read to find what is wrong with it before anything is done."""

    name = "format"

    def __init__(self, forms: Sequence[str] = (TABLE, JSON)) -> None:
        self.forms = forms

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What is shown in help."""
        return "|".join((*self.forms, "TEMPLATE"))

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same text. Raises UsageError for a template that is wrong."""
        if value in self.forms:
            return value
        if "{{" not in value:
            close = alike(value, self.forms)
            meant = f" Did you mean {close!r}?" if close else " A template is such as '{{.ID}}'."
            self.fail(f"{value!r} is none of {', '.join(self.forms)}, nor a template.{meant}", param, ctx)
        read_template(value)
        return value


def format_option(command: F) -> F:
    """`--format table|json|TEMPLATE`."""
    return click.option("--format", "form", type=Format(), default=TABLE, show_default=True, help="Output form.")(
        command
    )


@contextmanager
def session(
    root: str | None,
    progress: str = "quiet",
    registries: RegistryOptions | None = None,
    logfile: str | None = None,
) -> Iterator[Session]:
    """A session on the store the user chose, watched by a renderer. `registries` as `registry_options` gives them.

    What is shown goes to the end of `logfile`, where there is one. Raises UsageError for one that cannot be written.
    """
    chosen = Path(root) if root else click.get_current_context().find_root().obj
    with _log(logfile) as log:
        shown = renderer(look(progress), log or sys.stderr)
        try:
            with Session(chosen, shown, registries) as opened:
                yield opened
        except StepFailedError as error:
            # lazy: most steps do not fail
            from builder.cli.report import whole_log

            whole = partial(whole_log, error)
            error.log = tuple(shown.untold(error.log, whole) if log is None else whole())
            raise
        finally:
            shown.close()


@contextmanager
def _log(logfile: str | None) -> Iterator[TextIO | None]:
    with ExitStack() as opened:
        try:
            log = opened.enter_context(Path(logfile).open("a", encoding="utf-8")) if logfile is not None else None
        except OSError as error:
            raise UsageError(f"--logfile {logfile} cannot be written: {error.strerror}") from error
        yield log


def where_watched(otherwise: str) -> str:
    """How work is shown that is shown to who sits at a terminal, where there is none `otherwise`."""
    return "auto" if sys.stderr is not None and sys.stderr.isatty() else otherwise


def echo_above(opened: Session, line: str) -> None:
    """Print a line while work is shown: above what the renderer draws, where both are on a terminal."""
    if sys.stdout.isatty():
        opened.emit(Note(line))
    else:
        click.echo(line)


def read_template(text: str) -> Template:
    """The template of `--format`, with or without the word table before it. Raises UsageError."""
    # lazy: only with a template
    from builder.template.evaluate import Template

    return Template(text.removeprefix(TABLE).strip(" "))


def echo_json(value: Any) -> None:
    """Print a value as indented JSON."""
    # lazy: only with --format json
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    if not text.isascii() or "\x7f" in text:
        # lazy: the same
        from builder.cli.tables import fit_json

        text = fit_json(text, sys.stdout)
    click.echo(text)


def echo_table(head: Sequence[str], rows: Sequence[Sequence[str]], shrinks: Sequence[str] = ()) -> None:
    """Print rows under a head, columns aligned as Docker does; those headed by `shrinks` give way on a terminal."""
    # lazy: only for tables
    from builder.cli.tables import table

    click.echo(table(head, rows, shrinks, sys.stdout))  # at once: there may be thousands


def echo_lines(lines: Iterable[str]) -> None:
    """Print lines as a terminal, or whatever standard output is, can show them; at once: there may be thousands."""
    # lazy: as above
    from builder.cli.tables import fit

    click.echo("".join(f"{fit(line, sys.stdout)}\n" for line in lines), nl=False)


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
