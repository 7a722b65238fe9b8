"""`lint`, and what `build --call` shows instead of building."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from builder.api.session import Session
from builder.cli.help import command
from builder.cli.options import echo_json, pairs, root_option, session
from builder.cli.spelling import Choice
from builder.errors import UsageError, suggestion
from builder.request import BuildRequest, RegistryOptions

_METHODS = ("build", "check", "lint", "outline", "targets")
_FORMATS = ("text", "json")


class Call(Struct, frozen=True):
    """A question: check, outline or targets. With `ignore_status` findings do not show in the exit code."""

    method: str
    form: str = "text"
    ignore_status: bool = False


@command(
    ("pybuild lint .", "check the Buildfile here"),
    ("pybuild lint --format json Dockerfile", "check a file, for programs"),
    short="Check the style of a Buildfile",
)
@click.argument("context", default=".", metavar="PATH")
@click.option("-f", "--file", metavar="FILE", help="The Buildfile; - is standard input.")
@click.option("--target", default="", metavar="STAGE", help="Only the stages that STAGE needs. Default: all.")
@click.option(
    "--build-arg",
    "build_args",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Value of an ARG; without =VALUE, from the environment.",
)
@click.option("--format", "form", type=Choice(_FORMATS), default="text", show_default=True, help="Output form.")
@root_option
def lint(context: str, file: str | None, target: str, build_args: tuple[str, ...], form: str, root: str | None) -> None:
    """Check the style of the Buildfile in PATH, or of the file PATH."""
    if file is None and Path(context).is_file():
        context, file = str(Path(context).parent), context
    request = BuildRequest(context=context, file=file, target=target, build_args=dict(pairs(build_args, "--build-arg")))
    answer(request, root, Call("check", form))


def parse_call(text: str) -> Call | None:
    """The value of `--call`: `METHOD`, `METHOD,format=json`; None means to build."""
    found = Call("build")
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals and part in _METHODS:
            found = Call("check" if part == "lint" else part, found.form, found.ignore_status)
        elif key == "format" and value in _FORMATS:
            found = Call(found.method, value, found.ignore_status)
        elif key == "ignorestatus" and (not equals or value in ("true", "false")):
            found = Call(found.method, found.form, value != "false")
        else:
            raise UsageError(f"--call {text}: {part!r} is not known", hint=suggestion(part, (*_METHODS, "format=json")))
    return None if found.method == "build" else found


def answer(request: BuildRequest, root: str | None, call: Call, registries: RegistryOptions | None = None) -> None:
    """Print the answer to `call`. Ends with 1 when a check finds something."""
    with session(root, registries=registries) as opened:
        status = answer_in(opened, request, call)
    if status:
        raise click.exceptions.Exit(status)


def answer_in(opened: Session, request: BuildRequest, call: Call) -> int:
    """Print the answer to `call`; gives the status that it ends with."""
    if call.form == "json":
        document, status = answered(opened, request, call)
        echo_json(document)
        return status
    return {"check": _check, "outline": _outline, "targets": _targets}[call.method](request, opened, call)


def answered(opened: Session, request: BuildRequest, call: Call) -> tuple[Any, int]:
    """The answer to `call` as a document, and the status that it ends with."""
    from builder.api import lint as questions
    from builder.lint.report import document

    if call.method != "check":
        return {"outline": questions.outline, "targets": questions.targets}[call.method](opened, request), 0
    report = questions.check(opened, request)
    status = report.error.exit_code if report.error else int(bool(report.findings))
    return document(report.findings, report.source, report.error), 0 if call.ignore_status else status


def _check(request: BuildRequest, opened: Session, call: Call) -> int:
    from builder.api.lint import check
    from builder.lint.report import text

    report = check(opened, request)
    if report.error is None or report.findings:
        click.echo(text(report.findings, report.source))
    if report.error is not None:
        raise report.error
    return int(bool(report.findings) and not call.ignore_status)


def _targets(request: BuildRequest, opened: Session, call: Call) -> int:
    from builder.api.lint import targets

    found = targets(opened, request)
    rows = [("TARGET", "DESCRIPTION")]
    for target in found.targets:
        mark = "(default)" if target.default else ""
        rows.append((" ".join(filter(None, (target.name, mark))), target.description))
    _print_columns(rows, 1)
    return 0


def _outline(request: BuildRequest, opened: Session, call: Call) -> int:
    from builder.api.lint import outline

    found = outline(opened, request)
    if found.name or found.description:
        head = [("TARGET:", found.name or "(default)"), ("DESCRIPTION:", found.description)]
        _print_columns([row for row in head if row[1]], 1)
        click.echo()
    arguments = [(a.name, a.value, a.description) for a in found.args]
    _print_block(("BUILD ARG", "VALUE", "DESCRIPTION"), arguments)
    for title, needed in (("SECRET", found.secrets), ("SSH", found.ssh)):
        _print_block((title, "REQUIRED"), [(n.name, "true" if n.required else "") for n in needed])
    _print_block(("CACHE MOUNT",), [(c.ID,) for c in found.cache])
    return 0


def _print_block(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        _print_columns([head, *rows], 3)
        click.echo()


def _print_columns(rows: Sequence[Sequence[str]], gap: int) -> None:
    widths = [max(map(len, column)) + gap for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
