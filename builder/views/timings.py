"""Where the time of a build went, out of its spans: per step and in all, the critical path, what ran side by side.

Every instant counts once: for the innermost of the spans that it is in, the one that began last. What a span's shares
say is taken from its own time. So the phases of a step add up to the time somebody worked or waited for it, and those
of the build to what its user waited.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import Literal

from msgspec import Struct

from builder.spans import FAILED, SAVED, WHOLE, Phase, Span, Vertices

# What nothing tells of: before, between and after the spans of the whole.
OTHER = "other"
# The phases of steps, where the whole is told of.
STEPS = "steps"
# Of a step: what no span inside explains, above all that processes tell each other.
OVERHEAD = "step"

State = Literal["cached", "ran", "failed"]
# From and to, in nanoseconds of one clock.
Interval = tuple[int, int]


class StepTiming(Struct, frozen=True):
    """A step: nanoseconds by phase; how long its dependents had to wait for it; what it took when it ran, if cached.

    `critical`: it is on the critical path.
    """

    vertex: int
    name: str
    state: State
    phases: Mapping[str, int]
    took: int
    saved: int = 0
    critical: bool = False

    @property
    def whole(self) -> int:
        """All of its phases."""
        return sum(self.phases.values())


class Timings(Struct, frozen=True):
    """A build. `phases` add up to `whole`, STEPS and OTHER among them; `steps` in the order in which they began.

    `critical`: what the steps of the critical path took. `together`: for how long that many steps ran at once.
    """

    whole: int
    phases: Mapping[str, int]
    steps: tuple[StepTiming, ...]
    critical: int
    together: Mapping[int, int]

    @property
    def totals(self) -> dict[str, int]:
        """The phases of all steps, summed up, the longest first."""
        total: Counter[str] = Counter()
        for step in self.steps:
            total.update(step.phases)
        return dict(total.most_common())


def timings(spans: Sequence[Span], vertices: Vertices) -> Timings:
    """The timings of a build that has `ended` its recording. There is at least one span."""
    of_steps: dict[int, list[Span]] = {}
    for span in spans:
        if span.step != WHOLE:
            of_steps.setdefault(span.step, []).append(span)
    took = {step: covered((s.start, s.end) for s in own if s.phase in _HELD) for step, own in of_steps.items()}
    path = critical_path(took, dict(enumerate(vertices.inputs)))
    steps = tuple(
        _step(number, vertices.names, own, took[number], number in path)
        for number, own in sorted(of_steps.items(), key=lambda item: min(s.start for s in item[1]))
    )
    whole = max(s.end for s in spans) - min(s.start for s in spans)
    return Timings(
        whole,
        _whole(spans, whole),
        steps,
        sum(took[step] for step in path),
        together((s.start, s.end) for s in spans if s.phase == "step"),
    )


# What dependents wait for: not for a slot, as that is another step's time, nor for what goes on in the background.
_HELD = ("look-up", "step")


def _step(number: int, names: Sequence[str], own: Sequence[Span], took: int, critical: bool) -> StepTiming:
    saved = sum(span.numbers.get(SAVED, 0) for span in own)
    state: State = "ran" if any(span.phase == "step" for span in own) else "cached"
    if any(span.phase in _HELD and FAILED in span.numbers for span in own):
        state = "failed"
    elif any(SAVED in span.numbers for span in own):
        state = "cached"
    name = names[number] if number < len(names) else f"step {number}"
    return StepTiming(number, name, state, _phases(own), took, saved, critical)


def _phases(spans: Sequence[Span]) -> dict[str, int]:
    """The phases of one step, the longest first."""
    total: Counter[str] = Counter()
    for span, time in zip(spans, exclusive([(span.start, span.end) for span in spans]), strict=True):
        for phase, share in shared(span.phase, time, span.shares).items():
            total[phase] += share
    return {phase: time for phase, time in total.most_common() if time}


def _whole(spans: Sequence[Span], whole: int) -> dict[str, int]:
    """The phases of the whole, in the order in which they began."""
    total: dict[str, int] = {}
    ordered = sorted(spans, key=lambda span: span.start)
    for span, time in zip(ordered, exclusive([(span.start, span.end) for span in ordered]), strict=True):
        phase = span.phase if span.step == WHOLE else STEPS
        total[phase] = total.get(phase, 0) + time
    return {**total, OTHER: whole - sum(total.values())}


# --- of intervals ----------------------------------------------------------------------------------


def exclusive(intervals: Sequence[Interval]) -> list[int]:
    """How much of each is in none that began later; of those that begin together, the shorter is the later.

    They add up to what they cover together.
    """
    found = [0] * len(intervals)
    begins = sorted(range(len(intervals)), key=lambda i: (intervals[i][0], -intervals[i][1]))
    edges = sorted({edge for interval in intervals for edge in interval})
    open_: list[tuple[int, int]] = []  # (minus the order of beginning, which): the latest is first
    following = 0
    for at, until in pairwise(edges):
        while following < len(begins) and intervals[begins[following]][0] <= at:
            heappush(open_, (-following, begins[following]))
            following += 1
        while open_ and intervals[open_[0][1]][1] <= at:
            heappop(open_)
        if open_:
            found[open_[0][1]] += until - at
    return found


def covered(intervals: Iterable[Interval]) -> int:
    """How much is in any of them."""
    return sum(exclusive(list(intervals)))


def together(intervals: Iterable[Interval]) -> dict[int, int]:
    """For how long there were that many at once, from two on."""
    edges = sorted((at, by) for start, end in intervals if start < end for at, by in ((start, 1), (end, -1)))
    found: dict[int, int] = {}
    count = since = 0
    for at, by in edges:
        if count > 1 and at > since:
            found[count] = found.get(count, 0) + at - since
        count, since = count + by, at
    return dict(sorted(found.items()))


def shared(phase: Phase, time: int, shares: Mapping[Phase, int]) -> dict[str, int]:
    """`time` of a span by what went on in it; in proportion, where threads did more in it than it took."""
    inside = max(time, sum(shares.values()), 1)
    found: dict[str, int] = {name: share * time // inside for name, share in shares.items()}
    rest = time - sum(found.values())
    return {**found, phase: found.get(phase, 0) + rest}


def critical_path(took: Mapping[int, int], inputs: Mapping[int, Sequence[int]]) -> tuple[int, ...]:
    """The longest chain of steps that stand on each other, the first first, by what each `took`.

    With however many hands, no build of the same steps is faster. `inputs` have lower numbers than what stands on them.
    """
    ends: dict[int, int] = {}
    before: dict[int, int] = {}
    for step in sorted(took):
        below = [each for each in inputs.get(step, ()) if each in ends]
        if below:
            before[step] = max(below, key=ends.__getitem__)
        ends[step] = took[step] + (ends[before[step]] if below else 0)
    path = []
    at = max(ends, key=ends.__getitem__, default=None)
    while at is not None:
        path.append(at)
        at = before.get(at)
    return tuple(reversed(path))
