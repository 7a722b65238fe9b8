"""What a build tells whoever watches: frozen events, and the type of a watcher.

`solve` and the sources emit; renderers, the API and tests listen. An event never carries a
secret and never an object that is still changing. Times are seconds since the epoch.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from builder.digest import Reader


class CacheState(StrEnum):
    """How a vertex came by its result, in the words of the build's output."""

    LOCAL = "CACHED (local)"  # this store had it
    REMOTE = "CACHED (remote)"  # another machine's cache had it
    DONE = "DONE"  # it ran, or was fetched


class Work(StrEnum):
    """What a job does whose bytes are counted."""

    PULL = "pull"  # a layer of an image, from a registry, unpacked as it comes
    FETCH = "fetch"  # a file from a URL, a layer out of a shared cache
    CONTEXT = "context"  # the files of a build context, read to know what is in them
    UNPACK = "unpack"  # a layer to a file tree
    COMPRESS = "compress"  # a layer, in another way than it is kept, for where it goes
    EXPORT = "export"  # an image, or its files, to where they are wanted
    PUSH = "push"  # a blob to a registry
    CHECK = "check"  # what the store has, read again


class Described(Struct, frozen=True):
    """A vertex of the build's graph: what it is called, what it stands on, where it stands in the Buildfile.

    `inputs` are the numbers of the vertices it needs, its parent first.
    """

    vertex: int
    name: str
    inputs: tuple[int, ...] = ()
    stage: str = ""
    line: int = 0


class BuildStarted(Struct, frozen=True):
    """The graph is known: all vertices the target needs, inputs first. `total` of them will be told of as done.

    `buildfile` is where it was read, as it is shown to people.
    """

    total: int
    vertices: tuple[Described, ...] = ()
    buildfile: str = ""
    time: float = 0.0


class VertexStarted(Struct, frozen=True):
    """A vertex was looked up, missed, and begins to run. `name` as in `[build 2/4] RUN make`.

    `key` is the sha256 in hex that it was looked up by, here and below; empty where it is not known.
    """

    vertex: int
    name: str
    time: float
    key: str = ""


class VertexDone(Struct, frozen=True):
    """A vertex has its result, since `time`. `seconds` is 0.0 for one that did not run (it has no started event).

    `size` are the bytes of the layer it made or found, as a tar; of a base image those of all its layers. `saved` are
    the seconds it took when it ran, for one that did not. The `key` of a base image is the digest of its manifest.
    """

    vertex: int
    name: str
    state: CacheState
    seconds: float
    time: float = 0.0
    key: str = ""
    size: int = 0
    saved: float = 0.0


class VertexFailed(Struct, frozen=True):
    """A vertex ended without a result. `canceled`: it was stopped, because another failed or the user said so."""

    vertex: int
    name: str
    message: str
    seconds: float
    canceled: bool = False
    time: float = 0.0


class StageSkipped(Struct, frozen=True):
    """A stage the target does not need. `vertex` is a number that no vertex has; `name` as in `[docs] FROM base`."""

    vertex: int
    name: str
    stage: str
    line: int


class LogLine(Struct, frozen=True):
    """One line a step printed, without its newline. Bytes that are not UTF-8 are escaped."""

    vertex: int
    text: str
    time: float


class Progress(Struct, frozen=True):
    """How far a job is whose bytes are counted; `total` is 0 when unknown. It is over when `current` is `total`.

    `name` is what it is about: a short digest, a URL, a path. `vertex` is the one it is done for, None for one that is
    done for all of the build, or without any build.
    """

    kind: Work
    name: str
    current: int
    total: int
    vertex: int | None = None


class Warned(Struct, frozen=True):
    """Something the user should know that stops nothing. `place` as `file:line`, or empty."""

    message: str
    place: str = ""


class Note(Struct, frozen=True):
    """A finished action worth a line: an image written, a tag set."""

    text: str


class BuildDone(Struct, frozen=True):
    """Last event of a build that succeeded. `image` is the image ID or empty; `names` are those it was given.

    `size` are the bytes of the image's layers, as tars; `new` are those of them that were not in the store before.
    `cached` steps did not run, which `saved` the seconds they took when they did.
    """

    image: str
    cached: int
    ran: int
    seconds: float
    names: tuple[str, ...] = ()
    size: int = 0
    new: int = 0
    saved: float = 0.0


class BuildFailed(Struct, frozen=True):
    """Last event of a build that did not; the error is raised, too. `place` is where it lies, as `file:line`."""

    message: str
    seconds: float
    place: str = ""
    canceled: bool = False


Event = (
    BuildStarted
    | VertexStarted
    | VertexDone
    | VertexFailed
    | StageSkipped
    | LogLine
    | Progress
    | Warned
    | Note
    | BuildDone
    | BuildFailed
)
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A watcher that looks away."""


class Meter:
    """Tells how far a job is, once that is worth telling, and then now and then; from any thread.

    `total` are the bytes it is about, 0 if nobody knows. What has been told of is told of as over at the `end`.
    """

    # In seconds: what takes less is over before anyone has read of it.
    _SOON, _OFTEN = 0.2, 0.1

    def __init__(self, emit: Emit, kind: Work, name: str, total: int, vertex: int | None = None) -> None:
        self._emit, self._kind, self._name, self._total, self._vertex = emit, kind, name, total, vertex
        self._next = monotonic() + self._SOON
        self._lock = allocate_lock()
        self._told = False
        self.done = 0

    def add(self, count: int) -> None:
        """So many bytes more are done."""
        with self._lock:
            self.done += count
            now = monotonic()
            if now < self._next:
                return
            self._next, self._told = now + self._OFTEN, True
            # More than there should be is for others to find.
            done = min(self.done, self._total - 1) if self._total else self.done
            self._emit(Progress(self._kind, self._name, max(0, done), self._total, self._vertex))

    def reading(self, source: Reader) -> Reader:
        """`source`, all of which that is read is done."""
        return _Metered(source, self)

    def end(self) -> None:
        """It is over."""
        if self._told:
            whole = self._total or self.done
            self._emit(Progress(self._kind, self._name, whole, whole, self._vertex))


def both(first: Emit, second: Emit) -> Emit:
    """A watcher that tells two."""

    def emit(event: Event) -> None:
        first(event)
        second(event)

    return emit


class _Metered:
    """A reader."""

    def __init__(self, source: Reader, meter: Meter) -> None:
        self._source, self._meter = source, meter

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self._meter.add(len(data))
        return data
