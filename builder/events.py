"""What a build tells whoever watches: frozen events, and the type of a watcher.

`solve` and the sources emit; renderers, the API and tests listen. An event never carries a
secret and never an object that is still changing. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct


class CacheState(StrEnum):
    """How a vertex came by its result, in the words of the build's output."""

    LOCAL = "CACHED (local)"  # this store had it
    REMOTE = "CACHED (remote)"  # another machine's cache had it
    DONE = "DONE"  # it ran, or was fetched


class BuildStarted(Struct, frozen=True):
    """First event: how many vertices the target needs."""

    total: int


class VertexStarted(Struct, frozen=True):
    """A vertex was looked up, missed, and begins to run. `name` as in `[build 2/4] RUN make`."""

    vertex: int
    name: str
    time: float


class VertexDone(Struct, frozen=True):
    """A vertex has its result. `seconds` is 0.0 for one that did not run (it has no started event)."""

    vertex: int
    name: str
    state: CacheState
    seconds: float


class VertexFailed(Struct, frozen=True):
    """A vertex ended without a result. `canceled`: it was stopped, because another failed or the user said so."""

    vertex: int
    name: str
    message: str
    seconds: float
    canceled: bool = False


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
    """How far a countable job (pull, export…) is; `total` 0 when unknown. Unit: bytes."""

    name: str
    current: int
    total: int


class Warned(Struct, frozen=True):
    """Something the user should know that stops nothing. `place` as `file:line`, or empty."""

    message: str
    place: str = ""


class Note(Struct, frozen=True):
    """A finished action worth a line: an image written, a tag set."""

    text: str


class BuildDone(Struct, frozen=True):
    """Last event of a build that succeeded. `image` is the image ID or empty."""

    image: str
    cached: int
    ran: int
    seconds: float


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
)
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A watcher that looks away."""
