"""`cache verify`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.listing import echo_document
from builder.cli.options import TABLE, format_option, look, progress_option, root_option
from builder.lang.sizes import size
from builder.progress.choose import renderer

if TYPE_CHECKING:
    from builder.api.verify import Report

_DAMAGED = 6
# of a digest
_DIGITS = 64


@command(
    ("pybuild cache verify", "check"),
    ("pybuild cache verify --repair", "mend what is damaged"),
    short="Check all that is kept, and mend it",
)
@click.option("--repair", is_flag=True, help="Make what is damaged anew, and drop what cannot be.")
@format_option
@progress_option
@root_option
def verify(repair: bool, form: str, progress: str, root: str | None) -> None:
    """Check all that is kept; ends with 6 when something is damaged, or still is after --repair."""
    from builder.api.verify import verify as verified

    chosen = Path(root) if root else click.get_current_context().find_root().obj
    shown = renderer(look(progress), sys.stderr)
    try:
        report = verified(chosen, shown, repair=repair)
    finally:
        shown.close()
    if form != TABLE:
        echo_document({"damaged": report.damaged, "report": report}, form)
    else:
        for line in _lines(report, repair):
            click.echo(line)
    if report.damaged:
        click.get_current_context().exit(_DAMAGED)


def _lines(report: Report, repair: bool) -> Iterator[str]:
    for finding in report.findings:
        mark = "" if finding.harmless else "damaged "
        name = finding.name[:12] if len(finding.name) == _DIGITS else finding.name
        done = f" → {finding.repair}" if finding.repair else ""
        yield f"{mark}{finding.kind} {name}: {finding.problem}{done}"
    counts = f"{report.blobs} blobs ({size(report.bytes)}), {report.snapshots} snapshots, {report.records} records"
    verdict = _verdict(report.damaged, repair)
    yield f"checked {counts}, {report.images} images in {report.seconds:.1f}s: {verdict}"


def _verdict(damaged: bool, repair: bool) -> str:
    if not damaged:
        return "all is well"
    return "damage is left" if repair else "damage was found (--repair mends it)"
