"""The `Worker` seam: where the work of a vertex is done, and the work as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from msgspec import Struct

from builder.image.descriptor import Layer
from builder.layers.copyjob import Chosen, ContextSource, CopyJob
from builder.sandbox.spec import BindMount, FileMount, StepResult, StepSpec, TmpfsMount


class StackMount(Struct, frozen=True, tag=True):
    """`source`, a path of the tree `layers` stack up to, at `target`. Writes to a writable one are thrown away."""

    target: str
    layers: tuple[Layer, ...]
    source: str
    writable: bool = False


class ContextMount(Struct, frozen=True):
    """What is selected of the build context at `root`, at `target`: a copy, so that nothing else of it is seen.

    `epoch` is the time of all of it, in seconds; None leaves theirs.
    """

    target: str
    root: str
    sources: tuple[ContextSource, ...]
    writable: bool = False
    epoch: int | None = None


class CacheDirectory(Struct, frozen=True, tag=True):
    """The cache mount `name` at `target`; `about` (image/cachemount.About, as a document) is kept with it.

    A new one is empty with `mode`, `uid` and `gid`, or begins as `source` of the tree `layers` stack up to.
    """

    target: str
    name: str
    about: bytes
    sharing: str = "shared"
    read_only: bool = False
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    layers: tuple[Layer, ...] | None = None
    source: str = ""


class AgentSocket(Struct, frozen=True):
    """A socket at `target` that leads to the SSH agent at `agent`."""

    target: str
    agent: str
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


StepMount = StackMount | ContextMount | CacheDirectory | AgentSocket | FileMount | TmpfsMount | BindMount


class RunTask(Struct, frozen=True):
    """Run a command; `mounts` come after those of `spec`, in order.

    `keep` is what to keep with its files when it fails, as solve/failed writes it; empty: nothing is kept. `place` is
    where the step stands, FILE:LINE.
    """

    spec: StepSpec
    mounts: tuple[StepMount, ...] = ()
    keep: bytes = b""
    place: str = ""


class CopyPart(Struct, frozen=True):
    """One job of a copy; `source` is the stack the files come from, None for this machine and heredocs."""

    job: CopyJob
    source: tuple[Layer, ...] | None = None


class CopyTask(Struct, frozen=True):
    """Copy files, one part after the other. `link`: into nothing, not onto the stack, so that the layer fits any."""

    parts: tuple[CopyPart, ...]
    link: bool = False


class DirectoryTask(Struct, frozen=True):
    """Make a directory and its missing parents, owned by `user` (as in USER)."""

    path: str
    user: str


Task = RunTask | CopyTask | DirectoryTask


def needed(task: Task, stack: tuple[Layer, ...]) -> Iterator[tuple[Layer, ...]]:
    """The stacks whose files `task` on `stack` needs."""
    if isinstance(task, CopyTask):
        yield from (part.source for part in task.parts if part.source is not None)
        if task.link:
            return
    elif isinstance(task, RunTask):
        for mount in task.mounts:
            if isinstance(mount, StackMount | CacheDirectory):
                yield mount.layers or ()
    yield stack


class Outcome(Struct, frozen=True):
    """How a task ended: a layer, or none and how its command failed, by its status or by timing out.

    `kept` says that the files of the failed step are.
    """

    layer: Layer | None
    step: StepResult | None = None
    kept: bool = False


class Lost(Exception):
    """The layers of some vertices that were known cannot be had, or need not be: look all up again."""


class Worker(Protocol):
    """Somewhere tasks run.

    `start` is called once, before any thread exists and before the first `run`, `expect_network` perhaps after it.
    `run` may be called from several threads at once; it puts the task's layer (blob and files) into the store and
    gives it back.
    A command's failure is an Outcome; everything else that goes wrong is raised, and leaves nothing behind.
    `dated` puts a layer with other times into the store (see layers/dating), and gives that one.
    `cancel` makes what is in flight end within a second with CanceledError. `close` ends the worker.
    """

    def start(self) -> None:
        """Get ready."""
        ...

    def expect_network(self) -> None:
        """Know that a step will want a network of its own, soon."""
        ...

    def run(
        self,
        task: Task,
        stack: tuple[Layer, ...],
        output: Callable[[bytes], None],
        meanwhile: Callable[[], object],
    ) -> Outcome:
        """Do `task` on top of `stack`, handing on what a command prints as it comes; `meanwhile` once it has begun."""
        ...

    def chosen(self, stack: tuple[Layer, ...], asked: tuple[Chosen, ...]) -> list[bytes]:
        """The lists of what is chosen of `stack`, as layers/chosen makes them; called as `run` is."""
        ...

    def dated(self, layer: Layer, epoch: int, since: int) -> Layer:
        """`layer` as it is under SOURCE_DATE_EPOCH."""
        ...

    def cancel(self) -> None:
        """Stop what runs."""
        ...

    def close(self) -> None:
        """End; nothing runs any more."""
        ...


class Passing:
    """A worker that passes all on to `inner`: what other workers that do something besides begin with."""

    def __init__(self, inner: Worker) -> None:
        self.inner = inner

    def start(self) -> None:
        """Get ready."""
        self.inner.start()

    def expect_network(self) -> None:
        """Get ready."""
        self.inner.expect_network()

    def run(
        self,
        task: Task,
        stack: tuple[Layer, ...],
        output: Callable[[bytes], None],
        meanwhile: Callable[[], object],
    ) -> Outcome:
        """Do `task`."""
        return self.inner.run(task, stack, output, meanwhile)

    def chosen(self, stack: tuple[Layer, ...], asked: tuple[Chosen, ...]) -> list[bytes]:
        """The lists of what is chosen."""
        return self.inner.chosen(stack, asked)

    def dated(self, layer: Layer, epoch: int, since: int) -> Layer:
        """`layer` in other times."""
        return self.inner.dated(layer, epoch, since)

    def cancel(self) -> None:
        """Stop what runs."""
        self.inner.cancel()

    def close(self) -> None:
        """End."""
        self.inner.close()
