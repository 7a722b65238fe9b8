"""Lists as all commands print them: `--format table|json|TEMPLATE`, `--filter`, `-q`, `--no-trunc`.

A list tells its fields by Docker's names (`Listing`), of which the table shows some and a template any.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import click
from msgspec import Struct

from builder.cli.options import JSON, TABLE, Format, echo_json, echo_table, read_template
from builder.cli.tables import aligned, fit

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")


class Listing(Struct, Generic[R], frozen=True):
    """What a list tells of each row.

    `headings` has all fields, field → heading; `columns` are those of the plain table, of which those in `shrinks`
    give way on narrow terminals. `fields` gives a row's values, short ones or (where its second argument is true)
    whole ones; strings, as in Docker. `labels` gives what `.Label "name"` and `.Labels.name` look up.
    """

    headings: Mapping[str, str]
    columns: Sequence[str]
    fields: Callable[[R, bool], Mapping[str, Any]]
    shrinks: Sequence[str] = ()
    labels: Callable[[R], Mapping[str, str]] | None = None


def document_format_option(command: F) -> F:
    """`-f`, `--format json|TEMPLATE`, of commands that show documents."""
    return click.option(
        "-f", "--format", "form", type=Format((JSON,)), default=JSON, show_default=True, help="Output form."
    )(command)


def quiet_option(what: str) -> Callable[[F], F]:
    """`-q`: only `what`."""
    return click.option("-q", "--quiet", is_flag=True, help=f"Print only {what}.")


def no_trunc_option(command: F) -> F:
    """`--no-trunc`."""
    return click.option("--no-trunc", is_flag=True, help="Do not shorten anything.")(command)


class Filter(click.ParamType[str]):
    """`KEY=VALUE` with one of `keys`. What is wrong with one is said by whoever filters."""

    name = "filter"

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys


def filter_option(keys: Sequence[str], *, short: bool = True) -> Callable[[F], F]:
    """`--filter KEY=VALUE` (and `-f`) with these keys, handed on as `filters`."""
    return click.option(
        *(("-f",) if short else ()),
        "--filter",
        "filters",
        type=Filter(keys),
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Only those with this {', '.join(keys[:-1])} or {keys[-1]}; may be given often.",
    )


def echo_listing(
    listing: Listing[R],
    rows: Sequence[R],
    form: str = TABLE,
    *,
    whole: bool = False,
    quiet: str = "",
    columns: Sequence[str] | None = None,
    facts: Callable[[R], Any] | None = None,
) -> None:
    """Print rows: as JSON what `facts` makes of each, or the rows themselves; with `quiet` only the field so called.

    `columns` stand in for the table's own. Raises UsageError for a template that asks for what is not there.
    """
    if quiet:
        found = dict.fromkeys(str(listing.fields(row, whole)[quiet]) for row in rows)
        click.echo("".join(f"{fit(each, sys.stdout)}\n" for each in found), nl=False)
    elif form == JSON:
        echo_json(rows if facts is None else [facts(row) for row in rows])
    elif form == TABLE:
        shown = listing.columns if columns is None else columns
        head = [listing.headings[name] for name in shown]
        values = [listing.fields(row, whole) for row in rows]
        cells = [[str(each[name]) for name in shown] for each in values]
        echo_table(head, cells, () if whole else [listing.headings[name] for name in listing.shrinks])
    else:
        _echo_filled(listing, rows, form, whole)


def _echo_filled(listing: Listing[R], rows: Sequence[R], form: str, whole: bool) -> None:
    # lazy: only with a template
    from builder.template import rows as filling

    def filled(row: R) -> Any:
        labels = None if listing.labels is None else listing.labels(row)
        return filling.fields(listing.fields(row, whole), labels, _shown)

    head = filling.headings(listing.headings, labels=listing.labels is not None)
    _echo_lines(form, head, list(map(filled, rows)))


def _echo_lines(form: str, head: Any, rows: Sequence[Any]) -> None:
    """A line for each row, as the template has it; below headings and aligned where it begins with `table`."""
    # lazy: only with a template
    from builder.template.rows import UNCHANGED
    from builder.template.values import Fields

    template = read_template(form)
    if isinstance(head, Fields) and len(head):  # of no rows at all the fields are not known
        template.check([*head, *head.methods])
    lines = list(map(template, rows))
    if form.startswith(TABLE):
        cells = [line.split("\t") for text in (template(head, UNCHANGED), *lines) for line in text.split("\n")]
        lines = [aligned(cells)]
    click.echo("".join(f"{line}\n" for line in lines), nl=False, color=True)  # as it is, also into a pipe


def echo_document(value: Any, form: str, *, maps: Sequence[str] = ()) -> None:
    """Print a value as JSON, or as a template has it; below fields named in `maps` keys are free."""
    if form == JSON:
        echo_json(value)
        return
    # lazy: only with a template
    import msgspec

    from builder.template.rows import document, headings

    plain = msgspec.to_builtins(value, str_keys=True)
    text = _steerless if sys.stdout is not None and sys.stdout.isatty() else str
    rows = plain if isinstance(plain, list) else [plain]
    names = {name: name.upper() for row in rows if isinstance(row, dict) for name in row}
    _echo_lines(form, headings(names, labels=False), [document(each, maps, text) for each in rows])


def _shown(text: str) -> str:
    return fit(text, sys.stdout)


def _steerless(text: str) -> str:
    """For a terminal: without what would steer it, but for tabs and new lines."""
    return fit(text, sys.stdout, "\t\n")
