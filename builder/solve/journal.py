"""The journal of builds: which steps each had, how they ended, and where what they printed is.

    <root>/logs/<build>.jsonl         a line for the build, then a line whenever a step begins or ends
    <root>/logs/<build>-<step>.log    what a step printed (solve/log)

A build has an ID of fourteen digits, the first eleven the time it began, so that IDs sort by age; its steps have the
numbers of the plain progress. A build that runs nothing leaves no journal. Lines are added one by one: what a process
that was killed has left is read as far as it goes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.events import CacheState, Emit, Event, VertexDone, VertexFailed, VertexStarted
from builder.graph.vertex import Vertex

DIRECTORY = "logs"
# How many files are kept, logs and journals.
KEPT = 200


class Step(Struct, frozen=True):
    """A step of a build. `state`: running, cached, done, failed or canceled. `seconds` once it has ended."""

    number: int
    name: str
    stage: str = ""
    line: int = 0
    state: str = "running"
    seconds: float = 0.0


class Build(Struct, frozen=True):
    """A build that ran something. `started` in seconds since the epoch; steps in the order of their numbers."""

    id: str
    started: float
    buildfile: str
    steps: tuple[Step, ...] = ()


class Journal:
    """Watches a build for the journal, and hands on what it sees to `emit`. Never fails a build."""

    def __init__(self, root: Path, buildfile: str, vertices: Sequence[Vertex], emit: Emit) -> None:
        self.build = f"{time.time_ns() >> 20:011x}{os.urandom(2).hex()[:3]}"
        self._directory, self._vertices, self._emit = root / DIRECTORY, vertices, emit
        self._numbers: dict[int, int] = {}
        self._pending: list[Build | Step] = [Build(self.build, time.time(), buildfile)]
        self._lock = threading.Lock()
        self._begun = False

    def number(self, vertex: int) -> int:
        """The number of a step, as people see it."""
        return self._numbers.setdefault(vertex, len(self._numbers) + 1)

    def log(self, vertex: int) -> Path:
        """Where the log of a step is."""
        return log_path(self._directory.parent, self.build, self.number(vertex))

    def __call__(self, event: Event) -> None:
        """Note an event and hand it on; from any thread."""
        if not isinstance(event, VertexStarted | VertexDone | VertexFailed):
            self._emit(event)
            return
        # Handed on under the lock: so the numbers are those of whoever draws.
        with self._lock:
            self._pending.append(self._step(event))
            self._begun = self._begun or isinstance(event, VertexStarted)
            if self._begun:
                self._write()
            self._emit(event)

    def _step(self, event: VertexStarted | VertexDone | VertexFailed) -> Step:
        origin = self._vertices[event.vertex].origin
        step = Step(self.number(event.vertex), event.name, origin.stage, origin.line)
        match event:
            case VertexDone(state=CacheState.LOCAL):
                return replace(step, state="cached")
            case VertexDone(seconds=seconds):
                return replace(step, state="done", seconds=seconds)
            case VertexFailed(message=message, seconds=seconds):
                return replace(step, state="canceled" if message == "canceled" else "failed", seconds=seconds)
            case VertexStarted():
                return step

    def _write(self) -> None:
        path = self._directory / f"{self.build}.jsonl"
        with suppress(OSError):  # a full disk fails steps, not their journal
            make_room(self._directory)
            with path.open("ab", buffering=0) as file:
                file.write(b"".join(msgspec.json.encode(entry) + b"\n" for entry in self._pending))
            self._pending.clear()


def log_path(root: Path, build: str, number: int) -> Path:
    """Where the log of step `number` of a build is."""
    return root / DIRECTORY / f"{build}-{number}.log"


def make_room(directory: Path) -> None:
    """Remove the oldest logs and journals when there are more than enough."""
    for old in sorted(directory.iterdir(), key=lambda p: p.name)[:-KEPT]:
        old.unlink(missing_ok=True)


def builds(root: Path) -> list[Build]:
    """The builds there are journals of, newest first."""
    found = (_read(path) for path in sorted((root / DIRECTORY).glob("*.jsonl"), reverse=True))
    return [build for build in found if build is not None]


def _read(path: Path) -> Build | None:
    try:
        lines = path.read_bytes().splitlines()
        build = msgspec.json.decode(lines[0], type=Build)
    except (OSError, IndexError, msgspec.MsgspecError):
        return None  # removed meanwhile, or its maker was killed before the end of the first line
    steps: dict[int, Step] = {}
    for line in lines[1:]:
        with suppress(msgspec.MsgspecError):
            step = msgspec.json.decode(line, type=Step)
            steps[step.number] = step
    return replace(build, steps=tuple(steps[number] for number in sorted(steps)))
