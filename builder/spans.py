"""Where the time of a build goes: spans, recorded only when somebody asked for them.

    with span("diff"):                        in any process and any thread, around what takes time
    with span("tar") as now:                  `now.note("bytes", size)`: a number that belongs to it
        update = now.metered("hash", update)  its share of what is done piece by piece, without what is metered in it

When nothing is recorded, as in nearly all builds, `span` gives one object that does nothing, and `metered` gives the
function itself. A span belongs to the step (a vertex) that its thread works for, see `working_for`. Those of the
launcher's children travel back with what their call gives (builder/sandbox/child.py). CLOCK_MONOTONIC is one for all
processes. No span holds anything but numbers and words of this program, so none can hold a secret.
"""

from __future__ import annotations

import os
from _contextvars import Context, ContextVar, copy_context
from _thread import _local, get_native_id
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic_ns, thread_time_ns
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar

from msgspec import Struct

Phase = Literal[
    "start-up",  # the interpreter, imports, options, opening the store
    "parse",  # the Buildfile to its tree
    "resolve",  # base images and pins, and the tree to the graph
    "scan",  # walking the build context, and hashing what is taken of it
    "look-up",  # keys and records
    "wait",  # for a slot, a lock, or what another does
    "step",  # a vertex that runs, from its start to its result; what no other span explains of it is its overhead
    "launch",  # starting the launcher
    "fetch",  # from a server
    "explain",  # why a look-up missed, for `cache why`
    "hand-over",  # what is to be done, to the process that does it
    "unpack",  # a layer that is not unpacked yet
    "set-up",  # stack, mounts, namespaces, until a command begins
    "command",
    "copy",  # files by COPY, ADD and WORKDIR
    "diff",  # what has changed in the upper directory
    "tar",  # the layer's tar, with its hashes and its compression
    "hash",
    "compress",
    "write",  # into a file
    "sync",  # waiting for the disk
    "record",  # records, layers and other rows of the database
    "clear",  # what is taken down again
    "assemble",  # config and manifest
    "export",
    "end",  # after the build: cutting the cache back, ending the launcher
]
R = TypeVar("R")

# The step of what belongs to no step.
WHOLE = -1


class Span(Struct, frozen=True):
    """Something that took from `start` to `end`, nanoseconds of CLOCK_MONOTONIC, for a vertex or the WHOLE.

    `cpu` is what its thread used of a processor in it, in nanoseconds, 0 where that was not measured. `numbers` are
    sizes and counts by their names, SAVED and FAILED among them; `shares` are nanoseconds by what went on in it, or
    beside it in other threads.
    """

    phase: Phase
    step: int
    start: int
    end: int
    process: int
    thread: int
    numbers: dict[str, int]
    shares: dict[Phase, int]
    cpu: int = 0


# Numbers of a span: the nanoseconds that a step took which need not run now; 1 where an exception ended it.
SAVED, FAILED = "saved", "failed"


class Vertices(Struct, frozen=True):
    """What a graph's vertices are called, as progress shows them, and what each stands on."""

    names: tuple[str, ...] = ()
    inputs: tuple[tuple[int, ...], ...] = ()


_vertices = Vertices()
_recorded: list[Span] | None = None
_step = ContextVar("step", default=WHOLE)


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Silent:
    """A span nobody records; one is enough."""

    __slots__ = ()

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        pass

    def note(self, name: str, number: int) -> None:
        """Nothing."""

    def metered(self, share: Phase, function: Callable[..., R]) -> Callable[..., R]:
        """The function itself."""
        return function

    def drawn(self, share: Phase, items: Iterable[R]) -> Iterable[R]:
        """The items themselves."""
        return items

    def into(self, share: Phase, sink: _Sink) -> _Sink:
        """The sink itself."""
        return sink


class _Recording:
    """A span that goes on."""

    __slots__ = ("_cpu", "_meters", "_numbers", "_phase", "_start", "_step")

    def __init__(self, phase: Phase, step: int) -> None:
        self._phase, self._step, self._start, self._cpu = phase, step, 0, 0
        self._numbers: dict[str, int] = {}
        self._meters: list[tuple[Phase, list[int]]] = []

    def __enter__(self) -> _Recording:
        self._start, self._cpu = monotonic_ns(), thread_time_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shares: dict[Phase, int] = {}
        if error is not None:
            self._numbers[FAILED] = 1
        for name, taken in self._meters:
            shares[name] = shares.get(name, 0) + taken[0]
        cpu = thread_time_ns() - self._cpu
        _keep(self._phase, self._step, self._start, monotonic_ns(), self._numbers, shares, cpu)

    def note(self, name: str, number: int) -> None:
        """Add `number` to what is known of it as `name`."""
        self._numbers[name] = self._numbers.get(name, 0) + number

    def metered(self, share: Phase, function: Callable[..., R]) -> Callable[..., R]:
        """`function`, the time of whose calls is `share` of the span's; one thread at a time may call it."""
        taken = [0]
        self._meters.append((share, taken))

        def timed(*args: Any) -> R:
            start, around = monotonic_ns(), getattr(_metered, "inside", 0)
            _metered.inside = 0
            try:
                return function(*args)
            finally:
                whole = monotonic_ns() - start
                taken[0] += whole - _metered.inside
                _metered.inside = around + whole

        return timed

    def drawn(self, share: Phase, items: Iterable[R]) -> Iterator[R]:
        """`items`, the time of whose making is `share` of the span's."""
        # With a sentinel that nothing equals: iter() ends at it, or when the items do.
        return iter(self.metered(share, iter(items).__next__), object())

    def into(self, share: Phase, sink: _Sink) -> _Sink:
        """A sink for `sink`; the time that takes is `share` of the span's."""
        return _Metered(self.metered(share, sink.write))


class _Metered:
    """A sink."""

    __slots__ = ("write",)

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.write = write


_SILENT = _Silent()
# Of each thread: the nanoseconds of what was metered in the call that goes on.
_metered = _local()


Now = _Recording | _Silent


def span(phase: Phase, step: int | None = None) -> Now:
    """A context manager around what takes time; `step` is the one the thread works for, unless it is said."""
    if _recorded is None:
        return _SILENT
    return _Recording(phase, _step.get() if step is None else step)


def passed(phase: Phase, start: int, end: int, step: int | None = None, *, thread: int | None = None) -> None:
    """Record what was measured otherwise, in nanoseconds of CLOCK_MONOTONIC.

    `thread` is the number it is drawn by, where this thread did something else for a part of that time.
    """
    if _recorded is not None:
        _keep(phase, _step.get() if step is None else step, start, end, {}, {}, 0, thread)


def _keep(
    phase: Phase,
    step: int,
    start: int,
    end: int,
    numbers: dict[str, int],
    shares: dict[Phase, int],
    cpu: int,
    thread: int | None = None,
) -> None:
    if _recorded is not None:  # the recording may have ended meanwhile
        number = get_native_id() if thread is None else thread
        _recorded.append(Span(phase, step, start, end, os.getpid(), number, numbers, shares, cpu))


def recording() -> bool:
    """Whether spans are recorded; for what has a price of its own."""
    return _recorded is not None


class _WorkingFor:
    __slots__ = ("_before", "_step")

    def __init__(self, step: int) -> None:
        self._step = step

    def __enter__(self) -> None:
        self._before = _step.set(self._step)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        _step.reset(self._before)


def working_for(step: int) -> _WorkingFor | _Silent:
    """A context manager: what this thread does meanwhile, it does for the vertex `step`."""
    return _SILENT if _recorded is None else _WorkingFor(step)


def carried(function: Callable[..., R]) -> Callable[..., R]:
    """`function` for another thread, where it works for the same step as the caller does now. One call at a time."""
    if _recorded is None:
        return function
    context: Context = copy_context()
    return lambda *args: context.run(function, *args)


# --- recording ------------------------------------------------------------------------------------


def begin() -> None:
    """Record from now on, in this process."""
    global _recorded, _vertices
    _recorded, _vertices = [], Vertices()


def vertices(names: Iterable[str], inputs: Iterable[Sequence[int]]) -> None:
    """Say what the steps are, as Vertices has it."""
    global _vertices
    if _recorded is not None:
        _vertices = Vertices(tuple(names), tuple(tuple(each) for each in inputs))


def ended() -> tuple[list[Span], Vertices]:
    """What was recorded, and of what; nothing is from now on."""
    global _recorded
    found, _recorded = _recorded or [], None
    return found, _vertices


def errand() -> int | None:
    """What to tell a process that works for this thread, for its `follow`."""
    return None if _recorded is None else _step.get()


def follow(told: int | None) -> None:
    """Record as the process wants that this one works for, see `errand`; all before is forgotten."""
    global _recorded
    _recorded = None if told is None else []
    if told is not None:
        _step.set(told)


def gathered() -> list[Span]:
    """What was recorded since this was asked last: what to send to who wanted it."""
    global _recorded
    if not _recorded:
        return []
    found, _recorded = _recorded, []
    return found


def add(spans: Iterable[Span]) -> None:
    """Take what another process has `gathered`."""
    if _recorded is not None:
        _recorded.extend(spans)
