"""The live view on a terminal: finished steps scroll by, running ones stay below with their last lines.

rich is loaded when the first step really runs: a build from the cache is over before.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TextIO

from builder.events import (
    BuildDone,
    CacheState,
    Event,
    Note,
    Progress,
    StageSkipped,
    VertexDone,
    VertexFailed,
    VertexStarted,
    Warned,
)
from builder.lang.sizes import size
from builder.progress.plain import SKIPPED, summary
from builder.progress.state import View, advanced

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_PER_SECOND = 8


class Tty:
    """Draws on `out`, a terminal."""

    keeps_logs = False

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._view = View()
        self._live: Live | None = None
        self._lock = threading.RLock()

    def __call__(self, event: Event) -> None:
        """Draw one event; from any thread."""
        with self._lock:
            self._view = advanced(self._view, event)
            if isinstance(event, VertexStarted | Progress) and self._live is None:
                self._begin()
            match event:
                case VertexDone(name=name, state=state, seconds=seconds):
                    done = f"{seconds:.1f}s" if state is CacheState.DONE else str(state)
                    self._print(f"✔ {name}", "green", done)
                case VertexFailed(name=name, canceled=True):
                    self._print(f"■ {name}", "dim", "CANCELED")
                case StageSkipped(name=name):
                    self._print(f"- {name}", "dim", SKIPPED)
                case VertexFailed(name=name, seconds=seconds):
                    self._print(f"✘ {name}", "red", f"{seconds:.1f}s")
                case Warned(message=message, place=place):
                    self._print(f"! {f'{place}: ' if place else ''}{message}", "yellow")
                case Note(text=text):
                    self._print(text, "dim")
                case BuildDone():
                    self.close()
                    self._print(summary(event), "bold")
                case _:
                    pass

    def close(self) -> None:
        """Take the live part away."""
        with self._lock:
            live, self._live = self._live, None
        if live is not None:
            live.stop()

    def _begin(self) -> None:
        # lazy: 60 ms
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            console=Console(file=self._out),
            get_renderable=self._draw,
            refresh_per_second=_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _print(self, text: str, style: str, right: str = "") -> None:
        if self._live is None:
            self._out.write(f"{text}  {right}\n" if right else f"{text}\n")
            self._out.flush()
            return
        # lazy: loaded already
        from rich.text import Text

        line = Text(text, style, overflow="ellipsis", no_wrap=True)
        if right:
            line.append(f"  {right}", "dim")
        self._live.console.print(line)
        self._live.refresh()

    def _draw(self) -> Table:
        # lazy: loaded already
        from rich.table import Table
        from rich.text import Text

        view, now = self._view, time.time()
        table = Table.grid(expand=True, padding=(0, 1))
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(justify="right", no_wrap=True)
        for step in view.running.values():
            table.add_row(Text(f"▶ {step.name}", "cyan"), f"{now - step.since:.1f}s")
            for line in step.lines:
                table.add_row(Text(f"    {line}", "dim"), "")
        for name, (current, total) in view.jobs.items():
            table.add_row(Text(f"▶ {name}", "cyan"), f"{size(current)} / {size(total)}")
        return table
