"""One line per line, for logs and pipes, in the shape of BuildKit's plain progress."""

from __future__ import annotations

import threading
from typing import TextIO

from builder.events import (
    BuildDone,
    BuildFailed,
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
    Work,
)
from builder.lang.sizes import size

SKIPPED = "SKIPPED (not needed)"


class Plain:
    """Writes to `out`. Steps get numbers in the order in which they are first heard of."""

    keeps_logs = True

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._numbers: dict[int, int] = {}
        self._began: dict[int, float] = {}
        self._jobs: dict[tuple[Work, str], int] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Draw one event; from any thread."""
        with self._lock:
            for line in self._lines(event):
                self._out.write(line + "\n")
            self._out.flush()

    def close(self) -> None:
        """Nothing is left to draw."""

    def _lines(self, event: Event) -> list[str]:
        match event:
            case VertexStarted(vertex=vertex, name=name, time=time):
                self._began[vertex] = time
                return ["", f"{self._number(vertex)} {name}"]
            case VertexDone(vertex=vertex, name=name, state=state, seconds=seconds):
                known = vertex in self._began
                number = self._number(vertex)
                ended = f"{number} {state}" if state is not CacheState.DONE else f"{number} DONE {seconds:.1f}s"
                return [ended] if known and state is CacheState.DONE else ["", f"{number} {name}", ended]
            case VertexFailed(vertex=vertex, canceled=True):
                return [f"{self._number(vertex)} CANCELED"]
            case VertexFailed(vertex=vertex, message=message):
                return [f"{self._number(vertex)} ERROR: {message}"]
            case StageSkipped(vertex=vertex, name=name):
                number = self._number(vertex)
                return ["", f"{number} {name}", f"{number} {SKIPPED}"]
            case LogLine(vertex=vertex, text=text, time=time):
                return [f"{self._number(vertex)} {time - self._began.get(vertex, time):.3f} {text}"]
            case Warned(message=message, place=place):
                return [f"WARNING: {f'{place}: ' if place else ''}{message}"]
            case Progress():
                return self._job(event)
            case Note(text=text):
                return [text]
            case BuildDone():
                return ["", summary(event)]
            case BuildStarted() | BuildFailed():
                return []

    def _number(self, vertex: int) -> str:
        return f"#{self._numbers.setdefault(vertex, len(self._numbers) + 1)}"

    def _job(self, event: Progress) -> list[str]:
        """A line for each tenth of a job whose length is known."""
        tenth = event.current * 10 // event.total if event.total else 10
        if tenth <= self._jobs.get((event.kind, event.name), -1):
            return []
        self._jobs[event.kind, event.name] = tenth
        return [f"{event.kind} {event.name} {size(event.current)} / {size(event.total)}"]


def summary(event: BuildDone) -> str:
    """The last line of a build."""
    steps = f"{event.cached} cached, {event.ran} ran"
    return f"built {event.image} ({steps}) in {event.seconds:.1f}s"
