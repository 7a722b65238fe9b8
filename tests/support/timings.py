"""The shape of the report of `build --timings`, for what is printed and for what the docs show."""

from __future__ import annotations

import re
from typing import get_args

from builder.spans import Phase
from builder.views.timings import OTHER, OVERHEAD, STEPS

_TIME = r"\d+\.\d{3}"
_WORDS = "|".join((*(phase for phase in get_args(Phase) if phase != OVERHEAD), "overhead", STEPS, OTHER))
_PARTS = rf"(?:{_WORDS}) {_TIME}(?:, (?:{_WORDS}) {_TIME})*"
_STEPS = r"(?:1 step|\d+ steps)"
_FIRST = re.compile(rf"where {_TIME} s went: ({_PARTS})")
_STEP = re.compile(rf"([* ]) (.{{1,36}}?) +({_TIME})  ((?:cached|failed)?)(?:; )?({_PARTS})?")
_REST = (
    rf"  {_STEPS}, cached: {_TIME}",
    rf"critical path \(\*\): {_TIME} s in {_STEPS}",
    rf"all steps: {_PARTS}",
    rf"side by side: {_STEPS} for {_TIME} s(?:, {_STEPS} for {_TIME} s)*",
    rf"cached: {_STEPS} that took {_TIME} s when (?:it|they) ran",
)


def parts(text: str) -> dict[str, float]:
    return {phase: float(time) for phase, time in re.findall(rf"({_WORDS}) ({_TIME})", text)}


def understood(report: str) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The phases of the whole, and those of each step; every line must have its shape."""
    first, *lines = report.splitlines()
    whole = _FIRST.fullmatch(first)
    assert whole is not None, first
    steps = {}
    for line in lines:
        step = _STEP.fullmatch(line)
        if step is not None and not line.startswith(("  1 step,", "side", "cached", "all", "critical")):
            steps[step[2]] = parts(step[5] or "")
            assert sum(steps[step[2]].values()) <= float(step[3]) + 0.001 * (1 + len(steps[step[2]])), line
        else:
            assert any(re.fullmatch(form, line) for form in _REST), line
    assert lines == [] or any("critical path" in line for line in lines)
    return parts(whole[1]), steps
