"""What work looks like at one moment: a pure fold over its events, drawn by the live view."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from builder.events import BuildStarted, Event, LogLine, Progress, VertexDone, VertexFailed, VertexStarted, Work

# How many lines of what a step prints are kept: as many as BuildKit shows.
LINES = 6


class Running(Struct, frozen=True):
    """A step that runs: its name, when it began (seconds since the epoch), the last lines it printed."""

    name: str
    since: float
    lines: tuple[str, ...] = ()


class Job(Struct, frozen=True):
    """A job that goes on, by what it is about: so many bytes of `total`, 0 for an unknown number."""

    kind: Work
    name: str
    current: int
    total: int


class View(Struct, frozen=True):
    """The running steps by vertex, the jobs that go on, and how many steps of how many have ended.

    `since` is when the build began, in seconds since the epoch; it has no steps before that, and other work never has.
    """

    running: dict[int, Running] = field(default_factory=dict)
    jobs: dict[tuple[Work, str], Job] = field(default_factory=dict)
    since: float = 0.0
    total: int = 0
    ended: int = 0

    @property
    def busy(self) -> bool:
        """Whether something goes on that takes time."""
        return bool(self.running or self.jobs)


def advanced(view: View, event: Event) -> View:
    """The view after `event`."""
    match event:
        case BuildStarted(total=total, time=time):
            return replace(view, total=total, since=time)
        case VertexStarted(vertex=vertex, name=name, time=time):
            return replace(view, running={**view.running, vertex: Running(name, time)})
        case LogLine(vertex=vertex, text=text) if vertex in view.running:
            step = view.running[vertex]
            lines = (*step.lines, text)[-LINES:]
            return replace(view, running={**view.running, vertex: replace(step, lines=lines)})
        case VertexDone(vertex=vertex) | VertexFailed(vertex=vertex):
            running = {v: s for v, s in view.running.items() if v != vertex}
            return replace(view, running=running, ended=view.ended + 1)
        case Progress(kind=kind, name=name, current=current, total=total):
            jobs = {key: job for key, job in view.jobs.items() if key != (kind, name)}
            if current != total:
                jobs[kind, name] = Job(kind, name, current, total)
            return replace(view, jobs=jobs)
        case _:
            return view
