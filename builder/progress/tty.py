"""The live view on a terminal: finished steps scroll by, running ones stay below with their last lines.

What is live is written over each time, in one piece, row by row. Rows end before the last column and wrap nowhere; when
the terminal was made narrower, most have wrapped what stands there, which is reckoned with. What draws is loaded when
something really runs: a build from the cache is over before.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from msgspec import Struct

from builder.events import (
    BuildDone,
    BuildFailed,
    CacheState,
    Event,
    Note,
    StageSkipped,
    VertexDone,
    VertexFailed,
    Warned,
    Work,
)
from builder.progress.fit import cut, marks, width
from builder.progress.look import Screen, Whole
from builder.progress.plain import SKIPPED, figures, spent
from builder.progress.state import View, advanced

if TYPE_CHECKING:
    from builder.progress.screen import Style

_SECONDS = 1 / 8
# In seconds: so late some (tmux: 250 ms) tell of another size. What was written meanwhile has not wrapped, so that rows
# which are reckoned as wrapped reach above it; no line may be lost for that.
_SETTLED = 0.5
_SGR: dict[Style, str] = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_HIDE, _SHOW, _NO_WRAP, _WRAP = "\x1b[?25l", "\x1b[?25h", "\x1b[?7l", "\x1b[?7h"
# Clears what stands behind the cursor in its row, and that with all rows below.
_REST, _BELOW = "\x1b[K", "\x1b[J"
# What a terminal has that does not tell: the sizes of the first ones.
_USUAL = os.terminal_size((80, 24))
# Columns of a line that may wrap; of one that is cut, at least.
_ENDLESS, _LEAST = 1 << 12, 8
# Of an image ID: enough to find it by.
_SHORT = len("sha256:") + 12


class _Line(Struct, frozen=True):
    """A line that stays, and what stands behind it. `whole`: it may wrap, but must not be cut."""

    text: str
    style: Style = ""
    right: str = ""
    whole: bool = False


class Tty:
    """Draws on `out`, a terminal; where it is none, nothing is live."""

    def __init__(self, out: TextIO, *, color: bool = True) -> None:
        self._screen, self._out = Screen(out), out
        self._can_draw, self._color = out.isatty(), color and out.isatty()
        self._marks = marks(out.encoding or "ascii")
        self._view = View()
        # Whether there is a live part, and how many columns each of its rows has.
        self._live = False
        self._rows: list[int] = []
        self._lasted = 0.0
        self._painter: threading.Thread | None = None
        self._idle = threading.Event()
        self._lock = threading.RLock()

    def __call__(self, event: Event) -> None:
        """Draw one event; from any thread."""
        with self._lock:
            self._view = advanced(self._view, event)
            if isinstance(event, BuildDone | BuildFailed):
                self._end()
            lasting = self._lasting(event)
            if self._view.busy and self._can_draw:
                self._begin()
            else:
                self._idle.set()
            if lasting or (self._live and self._painter is None):
                self._paint(lasting)

    def close(self) -> None:
        """Take the live part away."""
        with self._lock:
            self._end()
            painter = self._painter
        if painter is not None:
            painter.join()

    def untold(self, last: Sequence[str], whole: Whole) -> Sequence[str]:
        """Its last lines: whoever sits here can ask for more."""
        return last

    # --- what lasts ----------------------------------------------------------------------------

    def _lasting(self, event: Event) -> list[_Line]:
        """Lines that stay."""
        shown = self._marks
        match event:
            case VertexDone(name=name, state=state, seconds=seconds):
                done = spent(seconds) if state is CacheState.DONE else str(state)
                return [_Line(f"{shown.done} {name}", "green", done)]
            case VertexFailed(name=name, canceled=True):
                return [_Line(f"{shown.canceled} {name}", "dim", "CANCELED")]
            case VertexFailed(name=name, seconds=seconds):
                return [_Line(f"{shown.failed} {name}", "red", spent(seconds))]
            case StageSkipped(name=name):
                return [_Line(f"{shown.skipped} {name}", "dim", SKIPPED)]
            case Warned(message=message, place=place):
                return [_Line(f"! {f'{place}: ' if place else ''}{message}", "yellow", whole=True)]
            case Note(text=text):
                return [_Line(text, "dim", whole=True)]
            case BuildDone():
                return self._summary(event)
            case _:
                return []

    def _summary(self, event: BuildDone) -> list[_Line]:
        """The image, and what is told of it in as few lines as there is room for."""
        columns, head = self._columns(), f"{self._marks.done} {', '.join(event.names) or 'built'}"
        image = event.image if len(head) + 2 + len(event.image) < columns else event.image[:_SHORT]
        lines = [_Line(head, "bold", image, whole=True)]
        told, between = "", f" {self._marks.dot} "
        for part in figures(event):
            if told and 2 + len(told + between + part) >= columns:
                lines.append(_Line(f"  {told}"))
                told = part
            else:
                told = told + between + part if told else part
        return [*lines, _Line(f"  {told}")]

    def _drawn(self, line: _Line) -> str:
        """A line as it is written; one that is no terminal's has no end."""
        right = f"  {line.right}" if line.right else ""
        columns = _ENDLESS if line.whole or not self._can_draw else self._columns() - 1 - len(right)
        text = cut(line.text, max(columns, _LEAST), self._marks)
        return self._styled(text, line.style) + self._styled(right, "dim" if line.style else "")

    def _styled(self, text: str, style: Style) -> str:
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style and text and self._color else text

    # --- what is live --------------------------------------------------------------------------

    def _begin(self) -> None:
        """Have what goes on drawn from now on, until nothing does."""
        if not self._live:
            self._live = True
            self._screen.write(_HIDE)
        self._idle.clear()
        # Contexts are read by processes that are forked while there is one thread; and tell often enough how far it is.
        alone = not self._view.running and all(kind is Work.CONTEXT for kind, _ in self._view.jobs)
        if self._painter is None and not alone:
            self._painter = threading.Thread(target=self._keep_painting, name="painter", daemon=True)
            self._painter.start()

    def _end(self) -> None:
        self._view = View()
        self._idle.set()
        if self._live:
            self._live = False
            # Not all at once from its beginning: see _paint.
            self._screen.write((f"{self._back()}{_REST}\n{_BELOW}\x1b[A" if self._rows else "") + _SHOW)
            self._rows = []

    def _keep_painting(self) -> None:
        while True:
            idle = self._idle.wait(_SECONDS)
            with self._lock:
                if idle and self._idle.is_set():
                    self._painter = None
                    return
                with suppress(OSError):  # the next event meets the same, where it is told
                    self._paint([])

    def _paint(self, lasting: list[_Line]) -> None:
        """Write lines that last in the place of what is live, and that below them.

        Each row is cleared behind what is written into it: nothing flickers, and what is cleared is never the whole
        screen, which tmux would keep as something to scroll back to.
        """
        rest = _REST if self._live else ""
        text = self._back() + "".join(f"{self._drawn(line)}{rest}\n" for line in lasting)
        if lasting:
            self._lasted = time.monotonic()
        if self._live:
            # lazy: a build from the cache has no live part
            from builder.progress.screen import rows

            columns, lines = self._size()
            found = rows(self._view, time.time(), columns - 1, max(1, lines - 1), self._marks)
            self._rows = [width(row.text) for row in found]
            drawn = (self._styled(row.text, row.style) + _REST for row in found)
            text += _NO_WRAP + "\n".join(drawn) + _BELOW + _WRAP
        self._screen.write(text)

    def _back(self) -> str:
        """What puts the cursor where the live rows begin."""
        if not self._rows:
            return ""
        columns, count = self._columns(), len(self._rows)
        if time.monotonic() - self._lasted >= _SETTLED:
            count = sum(max(1, -(-row // columns)) for row in self._rows)
        up = count - 1
        return "\r" + (f"\x1b[{up}A" if up else "")

    def _columns(self) -> int:
        return self._size().columns

    def _size(self) -> os.terminal_size:
        try:
            found = os.get_terminal_size(self._out.fileno())
        except (OSError, ValueError):  # it has gone, or never was one
            return _USUAL
        return found if found.columns and found.lines else _USUAL
