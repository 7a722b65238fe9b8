"""`explore`: the layers and files of an image, in the terminal."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.options import platform_option, root_option, session
from builder.errors import UsageError

if TYPE_CHECKING:
    from builder.cli.explorer.app import Explorer


@command(("pybuild explore app", "look at what each layer of an image brought and what is wasted"))
@click.argument("image")
@platform_option
@root_option
def explore(image: str, platform: str, root: str | None) -> None:
    """Look through an image's layers and files in the terminal.

    Needs `pip install 'pybuild[explore]'`.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        raise UsageError("explore needs a terminal", hint="pybuild analyze and pybuild tree print the same")
    explorer = _explorer()
    from builder.api.insight import exploring

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    with session(root) as opened, exploring(opened, image, platform) as explored:
        shown = explorer(image, explored)
        failed = shown.run()
    if failed is not None:
        raise failed
    if shown.ended_by is not None:  # and now as every command does it
        signal.signal(shown.ended_by, before[shown.ended_by])
        signal.raise_signal(shown.ended_by)


def _explorer() -> type[Explorer]:
    try:
        # lazy: 0.3 s
        from builder.cli.explorer.app import Explorer
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("builder"):
            raise
        raise UsageError(
            f"what draws the explorer is not installed ({error.name})", hint="pip install 'pybuild[explore]'"
        ) from error
    return Explorer
