"""How work is shown → a renderer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol, TextIO

from builder.events import Event
from builder.progress.clean import may_color
from builder.progress.look import Look, Screen, Whole


class Renderer(Protocol):
    """Draws events, from any thread, until it is closed."""

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        ...

    def close(self) -> None:
        """End; what is drawn stays."""
        ...

    def untold(self, last: Sequence[str], whole: Whole) -> Sequence[str]:
        """What is still to be told of what the step that failed has printed: its `last` lines, the `whole`, or none."""
        ...


class Quiet:
    """Draws nothing."""

    def __call__(self, event: Event) -> None:
        """Look away."""

    def close(self) -> None:
        """Nothing to end."""

    def untold(self, last: Sequence[str], whole: Whole) -> Sequence[str]:
        """All of it: nobody has seen any."""
        return whole()


def chosen(look: Look, out: TextIO | None) -> Look:
    """What `look` comes to: `auto` is `tty` on a terminal that can do it, and `plain` elsewhere, folded where it is
    read by who unfolds it.
    """
    kind, folds = look.kind, look.folds
    if kind == "none" or out is None:  # the caller has closed it
        kind = "quiet"
    if kind == "auto":
        able = os.environ.get("TERM", "") not in ("", "dumb")
        kind = "tty" if out is not None and out.isatty() and able else "plain"
    if folds == "auto":
        folds = _service()
    return Look(kind, folds, look.timestamps, look.color and may_color())


def _service() -> str:
    """Which of FOLDS the service reads that this runs in, by the variables it sets in all it runs."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return "github"
    return "gitlab" if os.environ.get("GITLAB_CI") == "true" else "none"


def renderer(look: Look, out: TextIO | None) -> Renderer:
    """What draws on `out` as `look` says."""
    look = chosen(look, out)
    if look.kind == "quiet" or out is None:
        return Quiet()
    if look.kind == "tty":
        # lazy: one of them is enough
        from builder.progress.tty import Tty

        return Tty(out, color=look.color)
    if look.kind == "rawjson":
        # lazy: as above
        from builder.progress.rawjson import RawJson

        return RawJson(Screen(out))
    # lazy: as above
    from builder.progress.plain import Plain

    return Plain(Screen(out), look)
