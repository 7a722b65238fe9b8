"""Options of `build` that show where its time goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from builder.cli.help import F, section
from builder.cli.options import SHOWN
from builder.events import Emit, both, ignore

if TYPE_CHECKING:
    from builder.api.session import Session

_OPTIONS = (
    click.option("--timings", is_flag=True, help="Tell where the time went, when the build has ended."),
    click.option(
        "--trace", metavar="FILE", help="Write where the time went to FILE, in Chrome's trace format (Perfetto)."
    ),
    click.option(
        "--report", metavar="FILE", help="Write to FILE, as HTML, what was done, when, how large it is, what failed."
    ),
)
# What is asked of the command by these.
NAMES = ("timings", "trace", "report")


def timing_options(command: F) -> F:
    """Where the time goes."""
    return section(SHOWN, *_OPTIONS)(command)


@contextmanager
def timed(timings: bool, trace: str | None, report: str | None) -> Iterator[Callable[[Session], None]]:
    """Do what these options ask for, of what is done meanwhile. What is yielded has to be told of the session."""
    if not timings and trace is None and report is None:
        yield lambda opened: None
        return
    # lazy: only where it is asked for
    from builder.api.timings import timed as recorded
    from builder.api.timings import traced

    def tell(told: str) -> None:
        click.echo(f"\n{told}", err=True, nl=False)

    outputs = [] if trace is None else [traced(trace)]
    heard: Emit = ignore
    if report is not None:
        # lazy: as above
        from builder.api.report import reported
        from builder.views.report.heard import Heard

        heard = listener = Heard()
        outputs.append(reported(report, listener))

    def listen(opened: Session) -> None:
        opened.emit = both(opened.emit, heard)

    with recorded(tell, outputs, report=timings):
        yield listen
