"""Several builds watched as one: their steps under one count of numbers, named after the target they are of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from msgspec.structs import replace

from builder.events import (
    BuildDone,
    BuildFailed,
    BuildStarted,
    Emit,
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

# More than the vertices of any build.
_APART = 1 << 20


class Several:
    """Hands on what builds tell to `emit`; that all of them are done is told once, by `end`.

    Each that starts is told of with its own vertices; the total is that of all that have started, the time the first's.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._began = time.monotonic()
        self._done: dict[int, BuildDone] = {}
        self._failed = False
        self._total, self._since = 0, 0.0
        self._lock = threading.Lock()

    def watcher(self, number: int, name: str) -> Emit:
        """Who is told by the build `number`, called `name`."""

        def moved(vertex: int) -> int:
            return vertex + number * _APART if vertex >= 0 else vertex - number * _APART

        def emit(event: Event) -> None:
            told = self._told(event, number, name, moved)
            if told is not None:
                self._emit(told)

        return emit

    def _told(self, event: Event, number: int, name: str, moved: Callable[[int], int]) -> Event | None:
        match event:
            case BuildStarted(vertices=vertices):
                own = (
                    replace(v, vertex=moved(v.vertex), name=named(v.name, name), inputs=tuple(map(moved, v.inputs)))
                    for v in vertices
                )
                with self._lock:
                    self._total += event.total
                    self._since = self._since or event.time
                    return replace(event, vertices=tuple(own), total=self._total, time=self._since)
            case VertexStarted() | VertexDone() | VertexFailed() | StageSkipped():
                return replace(event, vertex=moved(event.vertex), name=named(event.name, name))
            case LogLine():
                return replace(event, vertex=moved(event.vertex))
            case Progress(vertex=vertex):
                return event if vertex is None else replace(event, vertex=moved(vertex))
            case Warned(message=message):
                return replace(event, message=f"{name}: {message}")
            case Note(text=text):
                return Note(f"{name}: {text}")
            case BuildDone():
                with self._lock:
                    self._done[number] = event
                return Note(f"{name}: built {event.image}")
            case BuildFailed(message=message):
                with self._lock:
                    first = not self._failed and not event.canceled
                    self._failed = self._failed or first
                return replace(event, message=f"{name}: {message}") if first else None

    def end(self) -> None:
        """Tell that all is done; names are in the order of the builds, whichever was done first."""
        done = [self._done[number] for number in sorted(self._done)]
        self._emit(
            BuildDone(
                "",
                sum(one.cached for one in done),
                sum(one.ran for one in done),
                time.monotonic() - self._began,
                tuple(name for one in done for name in one.names),
                sum(one.size for one in done),
                sum(one.new for one in done),
                sum(one.saved for one in done),
            )
        )


def named(step: str, target: str) -> str:
    """The name of a step with that of its target, as buildx writes it: `[app build 2/4] RUN make`."""
    return f"[{target} {step[1:]}" if step.startswith("[") else f"[{target}] {step}"
