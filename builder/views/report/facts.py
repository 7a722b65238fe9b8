"""What a report tells of a build: plain values, out of what was heard of it and of where its time went.

Pure: nothing here is looked up. Times of steps are nanoseconds since the build began, as its user counts: since the
process did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from builder.spans import WHOLE, Span
from builder.views.timings import STEPS, Timings

State = Literal["cached", "remote", "done", "failed", "canceled", "skipped", "running", "waiting"]
# What is shorter than this part of the whole is not drawn: it would be less than half a pixel.
_DRAWN = 2000


class Bar(Struct, frozen=True):
    """What a step, or the whole, did from `start` to `end`: a phase of builder.spans."""

    phase: str
    start: int
    end: int


class Step(Struct, frozen=True):
    """A vertex, or a stage that nothing was done of. `inputs` are the vertices it stands on, its parent first.

    `place` as `Buildfile:3`; `seconds` that it took, `saved` those it took when it ran, if cached; `size` in bytes of
    its layer, None where that is not known. `log` are the last lines it printed, kept of one that
    failed or was canceled; `lost` how many came before.
    """

    number: int
    name: str
    place: str
    state: State
    inputs: tuple[int, ...] = ()
    seconds: float = 0.0
    saved: float = 0.0
    size: int | None = None
    critical: bool = False
    bars: tuple[Bar, ...] = ()
    log: tuple[str, ...] = ()
    lost: int = 0


class Failure(Struct, frozen=True):
    """Why there is no image: an error of builder.errors as text, with its place and source line where known."""

    message: str
    place: str = ""
    source: str = ""
    hint: str = ""


class Report(Struct, frozen=True):
    """A build. `began` in seconds since the epoch, `whole` in nanoseconds; `steps` in the order of the graph.

    `image`, `names`, `size` and `new` as in BuildDone; `phases` are nanoseconds of the steps and of the whole, each
    instant counted once; `critical` are those of the critical path; `warnings` are (place, message).
    """

    title: str
    began: float
    whole: int
    image: str
    names: tuple[str, ...]
    size: int
    new: int
    steps: tuple[Step, ...]
    phases: Mapping[str, int]
    critical: int
    bars: tuple[Bar, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    failure: Failure | None = None

    @property
    def cached(self) -> int:
        """How many steps did not have to run."""
        return sum(step.state in ("cached", "remote") for step in self.steps)

    @property
    def needed(self) -> int:
        """How many steps the target needs."""
        return sum(step.state != "skipped" for step in self.steps)

    @property
    def layers(self) -> tuple[Step, ...]:
        """The steps whose layers are in the image (or images): what nothing stands on, and parents from there down."""
        steps = {step.number: step for step in self.steps if step.state != "skipped"}
        needed = {each for step in steps.values() for each in step.inputs}
        found = set[int]()
        for top in steps.keys() - needed:
            at: int | None = top
            while at is not None and at not in found:
                found.add(at)
                at = next(iter(steps[at].inputs), None)
        return tuple(step for step in self.steps if step.number in found)

    @property
    def saved(self) -> float:
        """Seconds that cached steps took when they ran."""
        return sum(step.saved for step in self.steps)


def bars(spans: Iterable[Span], began: int, whole: int) -> tuple[Bar, ...]:
    """What is drawn of `spans`, each over those around it: the longer before the shorter. `began` by their clock."""
    found = sorted(spans, key=lambda span: (span.start, -span.end))
    return tuple(
        Bar(span.phase, span.start - began, span.end - began)
        for span in found
        if (span.end - span.start) * _DRAWN >= whole
    )


def timed(steps: Iterable[Step], spans: Sequence[Span], found: Timings) -> tuple[tuple[Step, ...], tuple[Bar, ...]]:
    """`steps` with where their time went, and the bars of what belongs to none."""
    began = min(span.start for span in spans)
    of_step: dict[int, list[Span]] = {}
    for span in spans:
        of_step.setdefault(span.step, []).append(span)
    critical = {step.vertex for step in found.steps if step.critical}
    told = tuple(
        replace(
            step,
            bars=bars(of_step.get(step.number, ()), began, found.whole),
            critical=step.number in critical,
        )
        if step.state != "skipped"  # its number is none of the graph's, and may be WHOLE
        else step
        for step in steps
    )
    return told, bars(of_step.get(WHOLE, ()), began, found.whole)


def phases(found: Timings) -> dict[str, int]:
    """What all of the time was used for, the longest first."""
    total = Counter(found.totals)
    total.update({phase: time for phase, time in found.phases.items() if phase != STEPS})
    return dict(total.most_common())
