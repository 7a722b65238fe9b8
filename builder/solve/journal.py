"""The journal of builds: which steps each had, how they ended, and where what they printed is.

    <root>/logs/<build>.jsonl         a line for the build, then a line whenever a step begins or ends
    <root>/logs/<build>-<step>.log    what a step printed (solve/log)

A build has an ID of fourteen digits, the first eleven the time it began, so that IDs sort by age; its steps have the
numbers of the plain progress. A build that runs nothing leaves no journal. Lines are added one by one: what a process
that was killed has left is read as far as it goes. Lines with `of` say what step `of` was looked up by, and why that
missed; the last line says when the build ended, once its hits are noted.
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

from builder.events import CacheState, Emit, Event, StageSkipped, VertexDone, VertexFailed, VertexStarted
from builder.graph.vertex import Run, Vertex, inputs
from builder.readied import readied

DIRECTORY = "logs"
# How many files are kept, logs and journals.
KEPT = 200


class Step(Struct, frozen=True):
    """A step of a build, or a stage that was skipped. `seconds` once it has ended.

    `state`: running, cached, done, failed, canceled or skipped.
    """

    number: int
    name: str
    stage: str = ""
    line: int = 0
    state: str = "running"
    seconds: float = 0.0

    @property
    def ran(self) -> bool:
        """Whether it ran, to whatever end."""
        return self.state not in ("cached", "skipped")


class Build(Struct, frozen=True):
    """A build that ran something. `started` in seconds since the epoch; steps in the order of their numbers."""

    id: str
    started: float
    buildfile: str
    steps: tuple[Step, ...] = ()


class Earlier(Struct, frozen=True, omit_defaults=True):
    """The record that a step which missed is compared with, as it was then; `content` is its layer's content ID."""

    key: str
    preimage: str
    created: float
    name: str
    line: int
    buildfile: str
    stage: str = ""
    inputs: tuple[str, ...] = ()
    content: str = ""


class Miss(Struct, frozen=True, omit_defaults=True):
    """Why a look-up missed: `reason` as in solve/lookup. Of a record that was removed, `at` when and `by` what."""

    reason: str
    preimage: str
    earlier: Earlier | None = None
    at: float = 0.0
    by: str = ""


class Facts(Struct, frozen=True, omit_defaults=True):
    """What a step was looked up by.

    `identity` is its key, or `image:NAME@DIGEST` of a base; `inputs` are the numbers of the steps it stands on (0: of
    no step), in the order of `graph.vertex.inputs`; `arguments` are the variables it has from ARG; `content` is the
    content ID of the layer it made.
    """

    of: int
    identity: str = ""
    inputs: tuple[int, ...] = ()
    arguments: tuple[str, ...] = ()
    miss: Miss | None = None
    content: str = ""


class _Ended(Struct, frozen=True):
    ended: float


class Journal:
    """Watches a build for the journal, and hands on what it sees to `emit`. Never fails a build."""

    def __init__(self, root: Path, buildfile: str, vertices: Sequence[Vertex], emit: Emit) -> None:
        self.build = f"{time.time_ns() >> 20:011x}{os.urandom(2).hex()[:3]}"
        self._directory, self._vertices, self._emit = root / DIRECTORY, vertices, emit
        self._path = f"{root}/{DIRECTORY}/{self.build}.jsonl"
        self._numbers: dict[int, int] = {}
        self._pending: list[Build | Step | Facts | _Ended] = [Build(self.build, time.time(), buildfile)]
        self._done: set[int] = set()
        self._identities: dict[int, str] = {}
        self._misses: dict[int, Miss] = {}
        # Of which what they were looked up by is noted: of one that runs, when it is known why that missed.
        self._told: set[int] = set()
        self._lock = threading.Lock()
        self._begun = self._has_room = False

    def number(self, vertex: int) -> int:
        """The number of a step, as people see it."""
        return self._numbers.setdefault(vertex, len(self._numbers) + 1)

    def log(self, vertex: int) -> Path:
        """Where the log of a step is."""
        return log_path(self._directory.parent, self.build, self.number(vertex))

    def known(self, vertex: int, identity: str) -> None:
        """Note what a vertex is looked up by."""
        self._identities[vertex] = identity

    def inputs(self, vertex: int) -> tuple[str, ...]:
        """The identities of what a vertex stands on; empty for nothing."""
        return tuple(self._identities.get(v, "") for v in inputs(self._vertices[vertex]))

    def missed(self, vertex: int, miss: Miss) -> None:
        """Note why a vertex that runs now was not found."""
        with self._lock:
            self._misses[vertex] = miss
            self._note_facts(vertex)
            self._write()

    def made(self, vertex: int, content: str) -> None:
        """Note the content ID of what a vertex has made."""
        with self._lock:
            self._pending.append(Facts(self.number(vertex), content=content))

    def end(self) -> None:
        """Note that the build is over."""
        with self._lock:
            if self._begun:
                self._pending.append(_Ended(time.time()))
                self._write()

    def __call__(self, event: Event) -> None:
        """Note an event and hand it on; from any thread."""
        if not isinstance(event, VertexStarted | VertexDone | VertexFailed | StageSkipped):
            self._emit(event)
            return
        # Handed on under the lock: so the numbers are those of whoever draws.
        with self._lock:
            if isinstance(event, VertexDone):
                if event.vertex in self._done and not event.seconds:
                    return  # it was told, when all was looked up before (solve/fetching)
                self._done.add(event.vertex)
            self._pending.append(self._step(event))
            if not isinstance(event, VertexStarted | StageSkipped):
                self._note_facts(event.vertex)
            self._begun = self._begun or isinstance(event, VertexStarted)
            if self._begun:
                self._write()
            self._emit(event)

    def _note_facts(self, vertex: int) -> None:
        if vertex not in self._told:
            self._told.add(vertex)
            self._pending.append(self._facts(vertex))

    def _step(self, event: VertexStarted | VertexDone | VertexFailed | StageSkipped) -> Step:
        if isinstance(event, StageSkipped):
            return Step(self.number(event.vertex), event.name, event.stage, event.line, "skipped")
        origin = self._vertices[event.vertex].origin
        step = Step(self.number(event.vertex), event.name, origin.stage, origin.line)
        match event:
            case VertexDone(state=CacheState.LOCAL | CacheState.REMOTE):
                return replace(step, state="cached")
            case VertexDone(seconds=seconds):
                return replace(step, state="done", seconds=seconds)
            case VertexFailed(canceled=canceled, seconds=seconds):
                return replace(step, state="canceled" if canceled else "failed", seconds=seconds)
            case VertexStarted():
                return step

    def _facts(self, vertex: int) -> Facts:
        described = self._vertices[vertex]
        return Facts(
            self.number(vertex),
            self._identities.get(vertex, ""),
            tuple(self._numbers.get(v, 0) for v in inputs(described)),
            described.arguments if isinstance(described, Run) else (),
            self._misses.get(vertex),
        )

    def _write(self) -> None:
        with suppress(OSError):  # a full disk fails steps, not their journal
            if not self._has_room:
                make_room(self._directory)
                self._has_room = True
            # Twice in each step, while nothing else goes on: here a file object costs as much as the system calls.
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                os.write(fd, b"".join(msgspec.json.encode(entry) + b"\n" for entry in self._pending))
            finally:
                os.close(fd)
            self._pending.clear()


def log_path(root: Path, build: str, number: int) -> Path:
    """Where the log of step `number` of a build is."""
    return root / DIRECTORY / f"{build}-{number}.log"


def make_room(directory: Path) -> None:
    """Remove the oldest logs and journals when there are more than enough."""
    for old in sorted(entry.name for entry in os.scandir(directory))[:-KEPT]:
        (directory / old).unlink(missing_ok=True)


def builds(root: Path) -> list[Build]:
    """The builds there are journals of, newest first."""
    found = (_read(path) for path in sorted((root / DIRECTORY).glob("*.jsonl"), reverse=True))
    return [build for build in found if build is not None]


def _read(path: Path) -> Build | None:
    try:
        lines = path.read_bytes().splitlines()
        build = msgspec.json.decode(lines[0], type=readied(Build))
    except (OSError, IndexError, msgspec.MsgspecError):
        return None  # removed meanwhile, or its maker was killed before the end of the first line
    steps: dict[int, Step] = {}
    for line in lines[1:]:
        with suppress(msgspec.MsgspecError):
            step = msgspec.json.decode(line, type=readied(Step))
            steps[step.number] = step
    return replace(build, steps=tuple(steps[number] for number in sorted(steps)))


def facts(root: Path, build: str) -> dict[int, Facts]:
    """What the steps of a build were looked up by, by their numbers."""
    found: dict[int, Facts] = {}
    for line in _lines(root, build):
        with suppress(msgspec.MsgspecError):
            new = msgspec.json.decode(line, type=readied(Facts))
            known = found.get(new.of)
            found[new.of] = new if known is None else replace(known, content=new.content)
    return found


def ended(root: Path, build: str) -> float | None:
    """When a build ended, in seconds since the epoch, or gave its last sign of life; None without a journal."""
    lines = _lines(root, build)
    try:
        return msgspec.json.decode(lines[-1], type=readied(_Ended)).ended
    except (IndexError, msgspec.MsgspecError):  # it was killed, or goes on
        with suppress(OSError):
            return (root / DIRECTORY / f"{build}.jsonl").stat().st_mtime
        return None


def _lines(root: Path, build: str) -> list[bytes]:
    try:
        return (root / DIRECTORY / f"{build}.jsonl").read_bytes().splitlines()
    except OSError:
        return []  # removed meanwhile
