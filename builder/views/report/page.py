"""The page of a report: HTML with all that it shows in it, its pictures as SVG.

Whatever text stands in it is what `visible` leaves of it, escaped by jinja2: it comes from builds. And the page forbids
itself scripts and all that is not in it, by its Content-Security-Policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from msgspec import Struct

from builder.lang.sizes import size
from builder.version import __version__
from builder.views.report.facts import Bar, Report, Step
from builder.views.report.layout import laid_out
from builder.views.timings import OVERHEAD
from builder.visible import visible

_BOX_WIDTH, _BOX_HEIGHT, _APART_X, _APART_Y = 250, 40, 30, 28
_LABEL = 30  # characters in a box; what is longer ends in …
_LEFT, _RIGHT, _ROW, _HEAD, _WIDE = 260, 30, 16, 18, 770
_STEPS = (1, 2, 5)  # of a scale: the first of them by a power of ten that gives few enough ticks
_TICKS = 8
# A phase whose name would not tell people what it is.
_CALLED = {OVERHEAD: "overhead"}
_WORDS = {
    "cached": "cached",
    "remote": "cached elsewhere",
    "done": "done",
    "failed": "failed",
    "canceled": "canceled",
    "skipped": "not needed",
    "running": "not ended",
    "waiting": "not begun",
}


class Box(Struct, frozen=True):
    """A step in the picture of the graph, its corner in pixels."""

    step: Step
    x: int
    y: int
    label: str


class Edge(Struct, frozen=True):
    """A line of that picture, as SVG has paths."""

    d: str
    critical: bool


class Drawn(Struct, frozen=True):
    """The part of a bar of the timeline that is seen."""

    phase: str
    x: float
    width: float
    time: int


class Row(Struct, frozen=True):
    """A row of the timeline."""

    y: int
    name: str
    label: str
    critical: bool
    bars: tuple[Drawn, ...]


def page(report: Report) -> str:
    """The HTML."""
    environment = Environment(
        loader=PackageLoader("builder.views.report", "."),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        finalize=lambda value: visible(value, "\n\t") if isinstance(value, str) else value,
    )
    environment.filters |= {"seconds": seconds, "clock": clock, "bytes": size, "told": told}
    steps = [step for step in report.steps if step.state != "skipped"]
    return environment.get_template("page.html").render(
        report=report,
        facts=_facts(report),
        words=_WORDS,
        used={step.state for step in report.steps},
        graph=_graph(steps),
        timeline=_timeline(report),
        phases=_phases(report),
        sizes=_sizes(report.layers),
        version=__version__,
    )


def seconds(nanoseconds: int) -> str:
    """Of a time: `1.23 s`."""
    return clock(nanoseconds / 1e9)


def clock(length: float) -> str:
    """Of seconds: `12 ms`, `1.23 s`, `4 min 05 s`."""
    if length < 0.1:
        return f"{length * 1000:.0f} ms"
    if length < 60:
        return f"{length:.2f} s"
    minutes, rest = divmod(round(length), 60)
    return f"{minutes} min {rest:02} s"


def told(step: Step) -> str:
    """What became of a step, in a few words."""
    took = f" {clock(step.seconds)}" if step.seconds else ""
    adds = "" if not step.size else f", {size(step.size)}"
    return f"{_WORDS[step.state]}{took}{adds}"


# --- geometry -------------------------------------------------------------------------------------


def _graph(steps: Sequence[Step]) -> dict[str, Any]:
    index = {step.number: number for number, step in enumerate(steps)}
    layout = laid_out([[index[each] for each in step.inputs] for step in steps])
    corners = [
        (column * (_BOX_WIDTH + _APART_X) + 2, row * (_BOX_HEIGHT + _APART_Y) + 2) for column, row in layout.places
    ]
    return {
        "boxes": [
            Box(step, *corner, cut(visible(step.name), _LABEL)) for step, corner in zip(steps, corners, strict=True)
        ],
        "edges": [
            Edge(_curve(corners[below], corners[above]), steps[below].critical and steps[above].critical)
            for below, above in layout.edges
        ],
        "width": layout.columns * (_BOX_WIDTH + _APART_X) + 4,
        "height": layout.rows * (_BOX_HEIGHT + _APART_Y) + 4,
        "box_width": _BOX_WIDTH,
        "box_height": _BOX_HEIGHT,
    }


def _curve(start: tuple[int, int], end: tuple[int, int]) -> str:
    """From the middle of the lower edge of one box to that of the upper edge of another."""
    x, y = start[0] + _BOX_WIDTH // 2, start[1] + _BOX_HEIGHT
    to_x, to_y = end[0] + _BOX_WIDTH // 2, end[1]
    return f"M{x} {y} C{x} {y + _APART_Y} {to_x} {to_y - _APART_Y} {to_x} {to_y}"


def _timeline(report: Report) -> dict[str, Any]:
    whole = max(report.whole, 1)
    named = [("the build", False, report.bars)] if report.bars else []
    named += [(step.name, step.critical, step.bars) for step in report.steps if step.bars]
    rows = [
        Row(_HEAD + index * _ROW, name, cut(visible(name), _LABEL), critical, tuple(_drawn(bar, whole) for bar in bars))
        for index, (name, critical, bars) in enumerate(named)
    ]
    return {
        "rows": rows,
        "left": _LEFT,
        "width": _LEFT + _WIDE + _RIGHT,
        "height": _HEAD + len(rows) * _ROW + 4,
        "ticks": [(round(_LEFT + at * _WIDE / whole, 1), _tick(at)) for at in ticks(whole)],
    }


def _drawn(bar: Bar, whole: int) -> Drawn:
    scale = _WIDE / whole
    length = bar.end - bar.start
    return Drawn(bar.phase, round(_LEFT + bar.start * scale, 2), round(max(length * scale, 0.5), 2), length)


def ticks(whole: int) -> list[int]:
    """Where a scale of `whole` nanoseconds is marked: at round figures, a few."""
    power = 1
    while True:
        for step in _STEPS:
            if whole <= step * power * _TICKS:
                return list(range(0, whole + 1, step * power))
        power *= 10


def _tick(at: int) -> str:
    return f"{at / 1e9:.3f}".rstrip("0").rstrip(".") + " s"


def cut(name: str, most: int) -> str:
    """A name of at most `most` characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _phases(report: Report) -> list[tuple[str, str, int]]:
    """What the colors of bars stand for, the longest first: the phase, its name, how much there was of it."""
    drawn = {bar.phase for bars in (report.bars, *(step.bars for step in report.steps)) for bar in bars}
    return [(phase, _CALLED.get(phase, phase), time) for phase, time in report.phases.items() if phase in drawn]


def _facts(report: Report) -> list[tuple[str, str]]:
    """What stands at the head of the page."""
    began = datetime.fromtimestamp(report.began, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    found = [("begun", began), ("steps", f"{report.needed}, {report.cached} of them cached")]
    if report.saved:
        found.append(("saved by the cache", clock(report.saved)))
    if report.image:
        found.append(("image", report.image))
        found.append(("size", f"{size(report.size)}, {size(report.new)} of it new"))
    if report.names:
        found.append(("names", ", ".join(report.names)))
    return found


def _sizes(steps: Sequence[Step]) -> list[tuple[Step, float]]:
    """Those of `steps` that add something, the largest first, each with its part of the largest."""
    found = sorted((step for step in steps if step.size), key=lambda step: -(step.size or 0))
    return [(step, (step.size or 0) / (found[0].size or 1)) for step in found]
