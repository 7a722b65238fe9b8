"""The live part of a terminal: what goes on, in as many rows and columns as there are. Pure: a view in, rows out."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from builder.lang.sizes import size
from builder.progress.fit import Marks, cut, width
from builder.progress.plain import spent
from builder.progress.state import LINES, Job, Running, View

Style = Literal["", "bold", "dim", "cyan", "green", "red", "yellow"]
# Columns of a bar, and how many there must be for one.
_BAR, _WIDE = 20, 60
_INDENT = " " * 4


class Row(Struct, frozen=True):
    """A row of the screen; `text` has no more columns than there are."""

    text: str
    style: Style = ""


def rows(view: View, now: float, columns: int, height: int, shown: Marks) -> list[Row]:
    """What goes on at `now`, in at most `height` rows of at most so many `columns`."""
    draw = _Drawn(now, max(1, columns), shown)
    head = [draw.head(view)] if view.total else []
    room = max(0, height - len(head))
    jobs, steps = list(view.jobs.values()), list(view.running.values())
    if len(jobs) + len(steps) > room:
        # Those that go on for longest matter most; one row tells of the others.
        left = max(0, room - 1)
        steps_shown, jobs_shown = steps[:left], jobs[: max(0, left - len(steps))]
        hidden = len(steps) + len(jobs) - len(steps_shown) - len(jobs_shown)
        more = [draw.row(f"  {shown.more} {hidden} more", style="dim")] if room else []
        return [*head, *map(draw.step, steps_shown), *map(draw.job, jobs_shown), *more][:height]
    each = _shares(steps, room - len(jobs) - len(steps))
    found = head
    for step, lines in zip(steps, each, strict=True):
        found.append(draw.step(step))
        found += map(draw.line, step.lines[len(step.lines) - lines :])
    return [*found, *map(draw.job, jobs)]


def _shares(steps: list[Running], room: int) -> list[int]:
    """How many of its last lines each step shows: one more for each in turn, as long as there is room."""
    found = [0] * len(steps)
    for _ in range(LINES):
        for number, step in enumerate(steps):
            if room and found[number] < len(step.lines):
                found[number] += 1
                room -= 1
    return found


class _Drawn:
    """Rows at a moment, of a width."""

    def __init__(self, now: float, columns: int, shown: Marks) -> None:
        self._now, self._width, self._marks = now, columns, shown

    def head(self, view: View) -> Row:
        """How far all of it is."""
        left = f"building {view.ended}/{view.total}"
        if len(view.running) > 1:
            left += f" {self._marks.dot} {len(view.running)} running"
        return self.row(left, spent(max(0.0, self._now - view.since)), "bold")

    def step(self, step: Running) -> Row:
        """A step that runs."""
        return self.row(f"{self._marks.running} {step.name}", spent(max(0.0, self._now - step.since)), "cyan")

    def line(self, text: str) -> Row:
        """A line a step printed."""
        return Row(f"{_INDENT}{cut(text, max(0, self._width - len(_INDENT)), self._marks)}"[: self._width], "dim")

    def job(self, job: Job) -> Row:
        """A job that goes on."""
        left, right = f"{self._marks.running} {job.kind} {job.name}", size(job.current)
        if job.total:
            right += f" / {size(job.total)}"
            if self._width >= _WIDE:
                full = min(_BAR, job.current * _BAR // job.total)
                right = f"{self._marks.full * full}{self._marks.empty * (_BAR - full)} {right:>15}"
        return self.row(left, right, "cyan")

    def row(self, left: str, right: str = "", style: Style = "") -> Row:
        """`left` cut to what `right` leaves of the width."""
        room = self._width - (len(right) + 1 if right else 0)
        if room < 2:
            return Row(cut(left, self._width, self._marks), style)
        text = cut(left, room, self._marks)
        return Row(f"{text}{' ' * (room - width(text))} {right}" if right else text, style)
