"""`config show`, `config files`: what is set, and who said so."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from builder.cli.defaults import settable, values, variables
from builder.cli.help import command
from builder.cli.lazy import LazyGroup
from builder.cli.listing import Listing, echo_listing
from builder.cli.options import format_option
from builder.config.document import DEFAULTS
from builder.errors import CLOSELY, NotFoundError, UsageError, suggestion

if TYPE_CHECKING:
    from builder.config.settings import Value

_DEFAULT = "default"
# Options whose values nobody may look at.
_SECRET = ("password",)


class Shown(Struct, frozen=True):
    """A setting, or the default of an option; `source` is a place in a file, a variable, or `default`."""

    name: str
    value: Any
    source: str


class File(Struct, frozen=True):
    """Where settings may be: the machine's, the user's or the project's. `state` is read, not there or ignored."""

    whose: str
    path: str
    state: str


_SHOWN: Listing[Shown] = Listing(
    headings={"Name": "NAME", "Value": "VALUE", "Source": "SOURCE"},
    columns=("Name", "Value", "Source"),
    fields=lambda row, whole: {"Name": row.name, "Value": _spelled(row.value), "Source": row.source},
)
_FILES: Listing[File] = Listing(
    headings={"Whose": "WHOSE", "Path": "PATH", "State": "STATE"},
    columns=("Whose", "Path", "State"),
    fields=lambda row, whole: {"Whose": row.whose, "Path": row.path, "State": row.state},
)


@click.group(
    cls=LazyGroup,
    table={"show": "builder.cli.config:show", "files": "builder.cli.config:files"},
    examples=(("pybuild config show", "see what is set, and where"),),
)
def config() -> None:
    """Look into the settings."""


@command(
    ("pybuild config show", "see all settings, and the defaults of options that files or variables set"),
    ("pybuild config show defaults.build", "see what builds begin with"),
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("-a", "--all", "everything", is_flag=True, help="Also show the options of which nothing is set.")
@format_option
def show(names: tuple[str, ...], everything: bool, form: str) -> None:
    """Show what is set, and where. NAME is a setting, or the beginning of some."""
    rows = [*_settings(), *_options(everything or bool(names))]
    wanted = [row for row in rows if not names or any(_within(row.name, name) for name in names)]
    for name in names:
        if not any(_within(row.name, name) for row in rows):
            raise NotFoundError(
                f"there is no setting {name}", hint=suggestion(name, (row.name for row in rows), "see --all", CLOSELY)
            )
    echo_listing(_SHOWN, wanted, form)


@command(
    ("pybuild config files", "see where settings may be"),
)
@format_option
def files(form: str) -> None:
    """List the files that settings may be in, the later over the earlier."""
    # lazy: the command's own
    from builder.config import places

    machine, user = places.files(os.environ)
    project = places.project()
    rows = [File(whose, path, _state(path)) for whose, path in (("machine", machine), ("user", user))]
    here = str(Path.cwd() / places.PROJECT)
    if project is None and Path(here).exists():
        rows.append(File("project", here, "ignored: it is another user's"))
    else:
        rows.append(File("project", project or here, _state(project or here)))
    echo_listing(_FILES, rows, form)


def _state(path: str) -> str:
    return "read" if Path(path).is_file() else "not there"


def _within(name: str, asked: str) -> bool:
    return name == asked or name.startswith(f"{asked}.")


def _settings() -> Iterator[Shown]:
    # lazy: the command's own
    from builder.config.settings import settings

    for name, value in settings().items():
        yield Shown(name, value.said, _DEFAULT if value.where is None else str(value.where))


def _options(everything: bool) -> Iterator[Shown]:
    """What is set of options; of those of which nothing is, where `everything` is asked for.

    All that files say is looked at, and so what is wrong is told, of whatever command.
    """
    # lazy: the command's own
    from builder.config.defaults import defaults

    found = defaults()
    known = dict(_commands(click.get_current_context().find_root().command, ""))
    for name, value in found.items():
        path = name.rpartition(".")[0]
        if path not in known:
            raise UsageError(
                f"there is no command {path}", where=value.where, hint=suggestion(path, known, "see --help", CLOSELY)
            )
    for path, each in known.items():
        said = values(path, each, found)
        for name, option in settable(each).items():
            shown = _said(path, name, option, said)
            if shown is not None:
                yield shown
            elif everything:
                # click has words of its own for none
                default = option.default if isinstance(option.default, str | int | float | tuple | list) else None
                yield Shown(f"{DEFAULTS}{path}.{name}", default, _DEFAULT)


def _said(
    path: str, name: str, option: click.Option, said: Mapping[str, tuple[click.Option, Value, Any]]
) -> Shown | None:
    whole = f"{DEFAULTS}{path}.{name}"
    for variable in variables(path, name, option):
        if value := os.environ.get(variable):
            return Shown(whole, "(set)" if option.hide_input or name in _SECRET else value, f"${variable}")
    if name in said:
        return Shown(whole, said[name][1].said, str(said[name][1].where))
    return None


def _commands(group: click.Command, above: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(group, click.Group):
        yield above, group
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        if each is not None:
            yield from _commands(each, f"{above}.{name}" if above else name)


def _spelled(value: Any) -> str:
    """A value as it stands in a file."""
    match value:
        case bool():
            return str(value).lower()
        case None:
            return ""
        case list() | tuple():
            return ", ".join(_spelled(each) for each in value)
        case _:
            return str(value)
