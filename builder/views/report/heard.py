"""What a build told while it went on, gathered for its report."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from msgspec.structs import replace

from builder.errors import PybuildError
from builder.events import (
    BuildDone,
    BuildStarted,
    CacheState,
    Event,
    LogLine,
    Note,
    Progress,
    StageSkipped,
    VertexDone,
    VertexFailed,
    VertexStarted,
    Warned,
)
from builder.spans import Span
from builder.views.report.facts import Failure, Report, State, Step, phases, timed
from builder.views.timings import Timings

# How many lines of each step are kept, in case it fails, and of each how much.
_LINES, _WIDEST = 5000, 4000
_STATES: dict[CacheState, State] = {
    CacheState.LOCAL: "cached",
    CacheState.REMOTE: "remote",
    CacheState.DONE: "done",
}


class Heard:
    """Listens to a build, from any thread; what steps print is kept as far as a report shows it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._logs: dict[int, deque[str]] = {}
        self._counts: dict[int, int] = {}

    def __call__(self, event: Event) -> None:
        """Take an event."""
        with self._lock:
            match event:
                case LogLine(vertex=vertex, text=text):
                    self._logs.setdefault(vertex, deque(maxlen=_LINES)).append(text[:_WIDEST])
                    self._counts[vertex] = self._counts.get(vertex, 0) + 1
                case Progress():
                    pass
                case _:
                    self._events.append(event)

    def report(self, began: float, spans: Sequence[Span], found: Timings, error: BaseException | None) -> Report:
        """The report. `began` in seconds since the epoch; `found` are the timings of `spans`, at least one."""
        started = next((event for event in self._events if isinstance(event, BuildStarted)), BuildStarted(0))
        done = next((event for event in self._events if isinstance(event, BuildDone)), None)
        steps, bars = timed(self._steps(started), spans, found)
        names = () if done is None else done.names
        return Report(
            title=names[0] if names else started.buildfile or "build",
            began=began,
            whole=found.whole,
            image="" if done is None else done.image,
            names=names,
            size=0 if done is None else done.size,
            new=0 if done is None else done.new,
            steps=steps,
            phases=phases(found),
            critical=found.critical,
            bars=bars,
            warnings=tuple((event.place, event.message) for event in self._events if isinstance(event, Warned)),
            notes=tuple(event.text for event in self._events if isinstance(event, Note)),
            failure=None if error is None else _failure(error),
        )

    def _steps(self, started: BuildStarted) -> list[Step]:
        """The vertices of the graph, then the stages that nothing was done of."""
        steps: dict[int, Step] = {}
        for described in started.vertices:
            place = _place(started.buildfile, described.line)
            steps[described.vertex] = Step(described.vertex, described.name, place, "waiting", described.inputs)
        for event in self._events:
            match event:
                case StageSkipped(vertex=vertex, name=name, line=line):
                    steps[vertex] = Step(vertex, name, _place(started.buildfile, line), "skipped")
                case VertexStarted(vertex=vertex) | VertexDone(vertex=vertex) | VertexFailed(vertex=vertex):
                    if vertex in steps:
                        steps[vertex] = self._after(steps[vertex], event)
                case _:
                    pass
        return list(steps.values())

    def _after(self, step: Step, event: VertexStarted | VertexDone | VertexFailed) -> Step:
        match event:
            case VertexStarted():
                return replace(step, state="running")
            case VertexDone(state=state, seconds=took, size=size, saved=saved):
                return replace(step, state=_STATES[state], seconds=took, size=size, saved=saved)
            case VertexFailed(canceled=canceled, seconds=took):
                log = tuple(self._logs.get(step.number, ()))
                lost = self._counts.get(step.number, 0) - len(log)
                return replace(step, state="canceled" if canceled else "failed", seconds=took, log=log, lost=lost)


def _place(buildfile: str, line: int) -> str:
    return f"{buildfile}:{line}" if line else ""


def _failure(error: BaseException) -> Failure:
    if isinstance(error, PybuildError):
        where = error.where
        place, source = ("", "") if where is None else (str(where), where.source)
        return Failure(error.message, place, source, error.hint or "")
    return Failure("interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__)
