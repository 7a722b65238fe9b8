"""Options of `build` that show where its time goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from builder.cli.help import F, section
from builder.cli.options import SHOWN

_OPTIONS = (
    click.option("--timings", is_flag=True, help="Tell where the time went, when the build has ended."),
    click.option(
        "--trace", metavar="FILE", help="Write where the time went to FILE, in Chrome's trace format (Perfetto)."
    ),
)


def timing_options(command: F) -> F:
    """Where the time goes."""
    return section(SHOWN, *_OPTIONS)(command)


@contextmanager
def timed(timings: bool, trace: str | None) -> Iterator[None]:
    """Do what these options ask for, of what is done meanwhile."""
    if not timings and trace is None:
        yield
        return
    # lazy: only where it is asked for
    from builder.api.timings import timed as recorded

    def tell(report: str) -> None:
        click.echo(f"\n{report}", err=True, nl=False)

    with recorded(tell, trace, report=timings):
        yield
