"""What goes on, for programs: a line of JSON for each change, as BuildKit's `client.SolveStatus` is written.

Names of fields are BuildKit's; times are RFC 3339 in UTC. The digest of a vertex is made of what it is called, where it
stands and what it stands on: it is the same in each build of the same Buildfile, and no cache key. What is done for the
build as a whole, and work without a build, has vertices of its own, as BuildKit's `[internal] …` and `exporting to …`.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Sequence
from hashlib import sha256

import msgspec
from msgspec import Struct

from builder.events import (
    BuildDone,
    BuildFailed,
    BuildStarted,
    CacheState,
    Described,
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
from builder.progress.look import Screen, Whole

_EXPORTING = "exporting to image"
# Standard output. What a step prints is one stream here.
_STREAM = 1
# In seconds: as often as BuildKit tells how far a job is.
_OFTEN = 0.1


class Vertex(Struct, frozen=True, omit_defaults=True):
    """A step, whenever something of it changes."""

    digest: str
    inputs: tuple[str, ...] = ()
    name: str = ""
    started: str | None = None
    completed: str | None = None
    cached: bool = False
    error: str = ""


class VertexStatus(Struct, frozen=True, omit_defaults=True):
    """How far a job of a vertex is, in bytes."""

    id: str
    vertex: str
    timestamp: str
    current: int
    name: str = ""
    total: int = 0
    started: str | None = None
    completed: str | None = None


class VertexLog(Struct, frozen=True):
    """Something a step printed, in base64."""

    vertex: str
    stream: int
    data: str
    timestamp: str


class Range(Struct, frozen=True):
    """Lines of a Buildfile."""

    start: dict[str, int]
    end: dict[str, int]


class VertexWarning(Struct, frozen=True, omit_defaults=True):
    """What is told of a warning, in base64, and the place it is about."""

    vertex: str
    level: int
    short: str
    sourceInfo: dict[str, str] = {}
    range: tuple[Range, ...] = ()


class SolveStatus(Struct, frozen=True, omit_defaults=True):
    """A line."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[VertexStatus, ...] = ()
    logs: tuple[VertexLog, ...] = ()
    warnings: tuple[VertexWarning, ...] = ()


class RawJson:
    """Writes to `out`."""

    def __init__(self, out: Screen) -> None:
        self._out = out
        self._vertices: dict[int, Vertex] = {}
        self._whole: dict[str, Vertex] = {}
        self._jobs: dict[tuple[Work, str], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Write what has changed; from any thread."""
        with self._lock:
            for status in self._statuses(event):
                self._out.write(msgspec.json.encode(status).decode() + "\n")

    def close(self) -> None:
        """Nothing is left to write."""

    def untold(self, last: Sequence[str], whole: Whole) -> Sequence[str]:
        """None of it: it is in the lines."""
        return ()

    def _statuses(self, event: Event) -> list[SolveStatus]:
        match event:
            case BuildStarted(vertices=vertices, buildfile=buildfile):
                for described in vertices:
                    self._vertices[described.vertex] = self._described(described, buildfile)
                return [SolveStatus(tuple(self._vertices.values()))] if vertices else []
            case VertexStarted() | VertexDone() | VertexFailed():
                return [SolveStatus((self._changed(event),))]
            case StageSkipped():
                return []  # BuildKit does not tell of them
            case LogLine(vertex=vertex, text=text, time=at):
                log = VertexLog(self._of(vertex).digest, _STREAM, _base64(f"{text}\n"), _stamp(at))
                return [SolveStatus(logs=(log,))]
            case Progress():
                return self._job(event)
            case Warned(message=message, place=place):
                return self._warning(message, place)
            case Note(text=text):
                return self._noted(text)
            case BuildDone(image=image):
                return [*(self._noted(f"writing image {image}") if image else ()), *self._completed()]
            case BuildFailed(message=message):
                return self._completed(message)

    # --- vertices ------------------------------------------------------------------------------

    def _described(self, described: Described, buildfile: str) -> Vertex:
        inputs = tuple(self._vertices[v].digest for v in described.inputs)
        parts = (buildfile, described.vertex, described.line, described.name, inputs)
        return Vertex(_digest(parts), inputs, described.name)

    def _of(self, vertex: int, name: str = "") -> Vertex:
        """A vertex, also one that nothing was said of before."""
        return self._vertices.setdefault(vertex, Vertex(_digest((vertex, name)), (), name))

    def _changed(self, event: VertexStarted | VertexDone | VertexFailed) -> Vertex:
        found = self._of(event.vertex, event.name)
        match event:
            case VertexStarted(time=began):
                found = msgspec.structs.replace(found, started=_stamp(began))
            case VertexDone(state=state, time=ended):
                now, cached = _stamp(ended), state is not CacheState.DONE
                found = msgspec.structs.replace(found, started=found.started or now, completed=now, cached=cached)
            case VertexFailed(message=message, canceled=canceled, time=ended):
                # The words by which BuildKit's own views know it.
                error = "context canceled" if canceled else message
                found = msgspec.structs.replace(found, completed=_stamp(ended), error=error)
        self._vertices[event.vertex] = found
        return found

    def _internal(self, name: str) -> tuple[str, list[SolveStatus]]:
        """The digest of what is done for the build as a whole, and what tells that it has begun, if it has now."""
        if name in self._whole:
            return self._whole[name].digest, []
        begun = self._whole[name] = Vertex(_digest((name,)), (), name, _stamp(time.time()))
        return begun.digest, [SolveStatus((begun,))]

    def _completed(self, error: str = "") -> list[SolveStatus]:
        now = _stamp(time.time())
        ended = [msgspec.structs.replace(vertex, completed=now) for vertex in self._whole.values()]
        if error and not any(vertex.error for vertex in self._vertices.values()):
            begun = Vertex(_digest(("build",)), (), "[internal] build", now)
            ended.append(msgspec.structs.replace(begun, completed=now, error=error))
        self._whole.clear()
        return [SolveStatus(tuple(ended))] if ended else []

    # --- what happens in them ------------------------------------------------------------------

    def _job(self, event: Progress) -> list[SolveStatus]:
        key, now = (event.kind, event.name), time.time()
        began, last = self._jobs.get(key, (_stamp(now), 0.0))
        over = event.current == event.total
        if not over and now - last < _OFTEN:
            return []
        self._jobs[key] = began, now
        begun: list[SolveStatus] = []
        if event.vertex is None:
            digest, begun = self._internal(f"[internal] {event.kind}")
        else:
            digest = self._of(event.vertex).digest
        status = VertexStatus(
            f"{event.kind} {event.name}",
            digest,
            _stamp(now),
            event.current,
            total=event.total,
            started=began,
            completed=_stamp(now) if over else None,
        )
        return [*begun, SolveStatus(statuses=(status,))]

    def _noted(self, text: str) -> list[SolveStatus]:
        digest, begun = self._internal(_EXPORTING)
        now = _stamp(time.time())
        return [*begun, SolveStatus(statuses=(VertexStatus(text, digest, now, 0, started=now, completed=now),))]

    def _warning(self, message: str, place: str) -> list[SolveStatus]:
        path, _, line = place.rpartition(":")
        where: tuple[Range, ...] = ()
        if path and line.isdigit():
            where = (Range({"line": int(line)}, {"line": int(line)}),)
        digest, begun = self._internal("[internal] checks")
        source = {"filename": path} if where else {}
        return [*begun, SolveStatus(warnings=(VertexWarning(digest, 1, _base64(message), source, where),))]


def _digest(parts: tuple[object, ...]) -> str:
    return f"sha256:{sha256(repr(parts).encode(errors='backslashreplace')).hexdigest()}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode(errors="backslashreplace")).decode()


def _stamp(seconds: float) -> str:
    """RFC 3339, as Go writes a time."""
    whole = int(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((seconds - whole) * 1e9):09}Z"
