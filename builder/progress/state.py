"""What a build looks like at one moment: a pure fold over its events, drawn by the live renderer."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from builder.events import Event, LogLine, Progress, VertexDone, VertexFailed, VertexStarted

_LINES = 6


class Running(Struct, frozen=True):
    """A step that runs: its name, when it began (seconds since the epoch), the last lines it printed."""

    name: str
    since: float
    lines: tuple[str, ...] = ()


class View(Struct, frozen=True):
    """The running steps by vertex, and jobs with a known length by name: (current, total) in bytes."""

    running: dict[int, Running] = field(default_factory=dict)
    jobs: dict[str, tuple[int, int]] = field(default_factory=dict)


def advanced(view: View, event: Event) -> View:
    """The view after `event`."""
    match event:
        case VertexStarted(vertex=vertex, name=name, time=time):
            return replace(view, running={**view.running, vertex: Running(name, time)})
        case LogLine(vertex=vertex, text=text) if vertex in view.running:
            step = view.running[vertex]
            lines = (*step.lines, text)[-_LINES:]
            return replace(view, running={**view.running, vertex: replace(step, lines=lines)})
        case VertexDone(vertex=vertex) | VertexFailed(vertex=vertex):
            return replace(view, running={v: s for v, s in view.running.items() if v != vertex})
        case Progress(kind=kind, name=given, current=current, total=total):
            name = f"{kind} {given}"
            jobs = {n: j for n, j in view.jobs.items() if n != name}
            if not total or current < total:
                jobs[name] = (current, total)
            return replace(view, jobs=jobs)
        case _:
            return view
