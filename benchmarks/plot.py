"""Bars in an SVG: a group for each thing measured, on a logarithmic scale, with a line at 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _LEFT, _RIGHT, _TOP = 900, 330, 70, 60
_BAR, _GAP = 13, 14
_COLOURS = ("#2b6cb0", "#dd6b20", "#38a169", "#805ad5", "#4a5568")
_MARK = 'stroke="#c00" stroke-width="2"'
_STYLE = "text{font:12px sans-serif;fill:#222} .small{font-size:11px} .title{font-size:15px;font-weight:bold}"


class Bar(NamedTuple):
    """A ratio under a name that has one colour throughout; `target`: a mark at what it should not exceed."""

    name: str
    value: float
    target: float | None = None


def bars(title: str, groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """The picture. Values that are not positive are drawn as the least one."""
    names = list(dict.fromkeys(bar.name for _, found in groups for bar in found))
    values = [v for _, found in groups for bar in found for v in (bar.value, bar.target or 1.0) if v > 0]
    # whole powers of ten around all of them, and 1
    low = math.floor(math.log10(min([0.1, *values])))
    high = math.ceil(math.log10(max([1.0, *values])))

    def across(value: float) -> float:
        part = (math.log10(max(value, 10.0**low)) - low) / (high - low)
        return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)

    marked = any(bar.target for _, found in groups for bar in found)
    top = _TOP + 18 * (len(names) + marked)
    drawn, bottom = _groups(groups, names, top, across)
    lines = [_line(across(10.0**power), top, bottom, f"{10.0**power:g}", power == 0) for power in range(low, high + 1)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{bottom + 40}">',
            f"<style>{_STYLE}</style>",
            f'<rect width="{_WIDTH}" height="{bottom + 40}" fill="white"/>',
            f'<text class="title" x="16" y="26">{escape(title)}</text>',
            *_legend(names, marked),
            *lines,
            *drawn,
            "</svg>\n",
        ]
    )


def _legend(names: Sequence[str], marked: bool) -> list[str]:
    lines = []
    if marked:
        y = 40 + 18 * len(names)
        lines.append(f'<line x1="22" x2="22" y1="{y - 1}" y2="{y + 13}" {_MARK}/>')
        lines.append(f'<text class="small" x="34" y="{y + 10}">target</text>')
    for number, name in enumerate(names):
        y = 40 + 18 * number
        lines.append(f'<rect x="16" y="{y}" width="12" height="12" fill="{_colour(number)}"/>')
        lines.append(f'<text class="small" x="34" y="{y + 10}">as a part of {escape(name)}</text>')
    return lines


def _groups(
    groups: Sequence[tuple[str, Sequence[Bar]]], names: Sequence[str], y: int, across: Callable[[float], float]
) -> tuple[list[str], int]:
    drawn = []
    for label, found in groups:
        drawn.append(f'<text x="16" y="{y + _BAR * len(found) / 2 + 4:.0f}">{escape(label)}</text>')
        for bar in found:
            end = across(bar.value)
            drawn.append(
                f'<rect x="{_LEFT}" y="{y}" width="{max(end - _LEFT, 1):.1f}" height="{_BAR - 2}"'
                f' fill="{_colour(names.index(bar.name))}"/>'
            )
            if bar.target:
                x = across(bar.target)
                drawn.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 3}" y2="{y + _BAR}" {_MARK}/>')
            drawn.append(f'<text class="small" x="{end + 5:.1f}" y="{y + _BAR - 3}">{bar.value:.2f}</text>')
            y += _BAR
        y += _GAP
    return drawn, y


def _line(x: float, top: int, bottom: int, label: str, strong: bool) -> str:
    colour = "#444" if strong else "#ccc"
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 8}" y2="{bottom}" stroke="{colour}"/>'
        f'<text class="small" x="{x - 8:.1f}" y="{bottom + 16}">{label}</text>'
    )


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]
