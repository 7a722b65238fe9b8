"""`doctor`: what works on this machine, and what changes for a project that was built with Docker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.listing import echo_document
from builder.cli.options import JSON, Format, offline_option, root_option, session
from builder.cli.registries import registry_options
from builder.request import RegistryOptions

if TYPE_CHECKING:
    from builder.api.migration.finding import Finding, Report


@command(
    ("pybuild doctor", "see what works here, and what would help"),
    ("pybuild doctor .", "see what changes for the project that is here"),
    short="Show what this machine lets pybuild do, or what changes for a project",
)
@click.argument("project", required=False, metavar="[PROJECT]")
@click.option("--format", "form", type=Format(("text", JSON)), default="text", show_default=True, help="Output form.")
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@registry_options
@offline_option
@root_option
def doctor(project: str | None, form: str, as_json: bool, root: str | None, registries: RegistryOptions) -> None:
    """Show what this machine lets pybuild do, and what would let it do more; ends with 7 when no step can run.

    Of PROJECT, a directory with Dockerfiles, compose files, scripts and files of CI services: what differs here from
    Docker, what it needs, and what to do. Nothing is built. Ends with 1 when something would not build as it is.
    """
    form = JSON if as_json else form
    if project is None:
        _machine(root, form)
        return
    from builder.api.migration.project import examined
    from builder.cli.judge import judged

    with session(root, registries=registries) as opened:
        report = examined(opened, project, judged)
    if form != "text":
        echo_document(report, form)
    else:
        _show(report)
    if report.count("error"):
        click.get_current_context().exit(1)


def _show(report: Report) -> None:
    from builder.api.migration.finding import SEVERITIES
    from builder.views.filetree import safe

    last = None
    for finding in report.findings:
        if finding.file != last:
            click.echo(f"{safe(finding.file) or 'this machine'}")
            last = finding.file
        click.echo(f"  {_place(finding)}{safe(finding.message)}")
        if finding.hint:
            click.echo(f"  {'':14}→ {safe(finding.hint)}")
    counts = ", ".join(_counted(report.count(kind), kind) for kind in SEVERITIES)
    click.echo(f"{_counted(len(report.files), 'file')} looked at: {counts}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _place(finding: Finding) -> str:
    return f"{finding.line or '':>4}  {finding.severity:8}"


def _machine(root: str | None, form: str) -> None:
    from builder.api.doctor import diagnosis

    with session(root) as opened:
        found = diagnosis(opened)
    if form != "text":
        echo_document(found, form)
    else:
        click.echo(f"tier {found.tier}")
        for line in found.lines:
            click.echo(f"  {line.name:<12} {line.used}")
            for better in line.better:
                click.echo(f"  {'':<12} ! {better}")
        for refused in found.refused:
            click.echo(f"  refused      {refused}")
    if found.refused:
        click.get_current_context().exit(7)
