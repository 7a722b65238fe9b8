"""Remembers what a build showed, so that the same build is answered with it (cli/main)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from io import StringIO
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from builder.cli.lazy import ASKED
from builder.cli.options import look
from builder.events import BuildDone, Event, Progress, VertexStarted
from builder.progress.choose import chosen, renderer
from builder.progress.look import Look

if TYPE_CHECKING:
    from builder.api.answered import Asked
    from builder.api.build import Built
    from builder.api.session import Session
    from builder.request import BuildRequest


def remembering(opened: Session, request: BuildRequest, progress: str) -> Callable[[Built], None] | None:
    """What is to be called with what the build of `request` came to. Listens to the session from now on.

    None when nobody would ask for it again.
    """
    heard: list[Event] = []
    emit = opened.emit
    asked: Asked | None = click.get_current_context().meta[ASKED]
    if asked is None:
        return None
    opened.walked = asked.walked
    shown = chosen(look(progress), sys.stderr)
    if not shown.lasts:
        return None
    ran = False

    def hear(event: Event) -> None:
        nonlocal ran
        if isinstance(event, VertexStarted):
            # It is no answer to anything, and what steps print may be much.
            ran = True
            heard.clear()
        if not ran and not isinstance(event, Progress):
            heard.append(event)
        emit(event)

    def tell(done: Built) -> None:
        if ran or done.result.ran or not asked.stands():
            return
        # lazy: only for a build from the cache that is not known yet
        from builder.api.remember import Answer, remember

        image = f"{done.result.image}\n" if progress == "quiet" else ""
        remember(opened, request, done, asked.key, Answer(_drawn(heard, shown), image))

    opened.emit = hear
    return tell


class _Copy(StringIO):
    """Drawn into as if it were standard error."""

    encoding = property(lambda self: sys.stderr.encoding)

    def isatty(self) -> bool:
        """As there."""
        return sys.stderr.isatty()

    def fileno(self) -> int:
        """The one there: what is drawn depends on its size."""
        return sys.stderr.fileno()


def _drawn(events: Sequence[Event], look: Look) -> str:
    """The events as they are shown; without the seconds that it took, which end it."""
    drawn = _Copy()
    draw = renderer(look, drawn)
    for event in events:
        draw(replace(event, seconds=0.0) if isinstance(event, BuildDone) else event)
    draw.close()
    return drawn.getvalue().removesuffix("0.0s\n")
