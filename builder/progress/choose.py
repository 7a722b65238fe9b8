"""`--progress` → a renderer."""

from __future__ import annotations

from typing import Protocol, TextIO

from builder.events import Event

KINDS = ("auto", "tty", "plain", "quiet")


class Renderer(Protocol):
    """Draws events, from any thread, until it is closed. `keeps_logs`: what steps print stays to be seen."""

    keeps_logs: bool

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        ...

    def close(self) -> None:
        """End; what is drawn stays."""
        ...


class Quiet:
    """Draws nothing."""

    keeps_logs = False

    def __call__(self, event: Event) -> None:
        """Look away."""

    def close(self) -> None:
        """Nothing to end."""


def chosen(kind: str, out: TextIO) -> str:
    """Which of KINDS `kind` is: `auto` is `tty` on a terminal and `plain` elsewhere."""
    if kind != "auto":
        return kind
    return "tty" if out.isatty() else "plain"


def renderer(kind: str, out: TextIO) -> Renderer:
    """The renderer named `kind` of KINDS."""
    kind = chosen(kind, out)
    if kind == "quiet":
        return Quiet()
    if kind == "tty":
        # lazy: one of them is enough
        from builder.progress.tty import Tty

        return Tty(out)
    from builder.progress.plain import Plain

    return Plain(out)
