"""The timings of a build as text: the whole, a line for each step, the critical path marked by `*`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from builder.views.timings import OVERHEAD, StepTiming, Timings

_SECOND = 10**9
_WIDEST = 36
# A phase that took less than this part of its step is not told of, nor what rounds to nothing; and of the rest the
# longest, so many in a step's line and in others.
_LEAST, _NOTHING = 50, 500_000
_OF_STEP, _OF_ALL = 5, 7
# A cached step that took less than this part of the whole has no line of its own.
_SMALL = 50
_WORDS = {OVERHEAD: "overhead"}


def drawn(found: Timings) -> str:
    """The report, lines without colors, at its end a newline."""
    return "".join(f"{line}\n" for line in _lines(found))


def _lines(found: Timings) -> Iterator[str]:
    yield f"where {seconds(found.whole)} s went: {_told(found.phases, found.whole, _OF_ALL)}"
    small, shown = list[StepTiming](), list[StepTiming]()
    for step in found.steps:
        (small if step.state == "cached" and step.whole * _SMALL < found.whole else shown).append(step)
    width = min(_WIDEST, max((len(step.name) for step in shown), default=0))
    for step in shown:
        yield _line(step, width)
    if small:
        yield f"  {_steps(len(small))}, cached: {seconds(sum(step.whole for step in small))}"
    if found.steps:
        yield from _summary(found)


def _line(step: StepTiming, width: int) -> str:
    mark = "*" if step.critical else " "
    name = step.name if len(step.name) <= width else f"{step.name[: width - 1]}…"
    state = "" if step.state == "ran" else f"{step.state}; "
    told = f"{state}{_told(step.phases, step.whole, _OF_STEP)}"
    return f"{mark} {name:{width}}  {seconds(step.whole):>7}  {told}".rstrip(" ;")


def _summary(found: Timings) -> Iterator[str]:
    yield f"critical path (*): {seconds(found.critical)} s in {_steps(sum(step.critical for step in found.steps))}"
    if len(found.steps) > 1:
        yield f"all steps: {_told(found.totals, sum(found.totals.values()), _OF_ALL)}"
    if found.together:
        yield f"side by side: {', '.join(f'{_steps(n)} for {seconds(time)} s' for n, time in found.together.items())}"
    cached: Sequence[StepTiming] = [step for step in found.steps if step.state == "cached" and step.saved]
    if cached:
        saved = seconds(sum(step.saved for step in cached))
        yield f"cached: {_steps(len(cached))} that took {saved} s when {'it' if len(cached) == 1 else 'they'} ran"


def _steps(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"


def _told(phases: Mapping[str, int], whole: int, most: int) -> str:
    kept = [phase for phase, time in phases.items() if time * _LEAST >= whole and time >= _NOTHING]
    longest = set(sorted(kept, key=phases.__getitem__, reverse=True)[:most])
    return ", ".join(f"{_WORDS.get(phase, phase)} {seconds(phases[phase])}" for phase in kept if phase in longest)


def seconds(nanoseconds: int) -> str:
    """Seconds to the millisecond."""
    return f"{nanoseconds / _SECOND:.3f}"
