"""The `Worker` seam: where the work of a vertex is done, and the work as plain data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from builder.image.descriptor import Layer
from builder.layers.copyjob import CopyJob
from builder.sandbox.spec import StepSpec, Usage


class RunTask(Struct, frozen=True):
    """Run a command."""

    spec: StepSpec


class CopyTask(Struct, frozen=True):
    """Copy files; `source` is the stack they come from, None for the build context and heredocs."""

    job: CopyJob
    source: tuple[Layer, ...] | None


class DirectoryTask(Struct, frozen=True):
    """Make a directory and its missing parents, owned by `user` (as in USER)."""

    path: str
    user: str


Task = RunTask | CopyTask | DirectoryTask


class Outcome(Struct, frozen=True):
    """How a task ended: a layer, or the status other than 0 of a command (no layer then)."""

    layer: Layer | None
    status: int = 0
    usage: Usage | None = None


class Worker(Protocol):
    """Somewhere tasks run.

    `start` is called once, before any thread exists and before the first `run`. `run` may be called from
    several threads at once; it puts the task's layer (blob and files) into the store and gives it back.
    A command's failure is an Outcome; everything else that goes wrong is raised, and leaves nothing behind.
    `cancel` makes the runs in flight end within a second with CanceledError. `close` ends the worker.
    """

    def start(self) -> None:
        """Get ready."""
        ...

    def run(self, task: Task, stack: tuple[Layer, ...], output: Callable[[bytes], None]) -> Outcome:
        """Do `task` on top of `stack`, handing on what a command prints as it comes."""
        ...

    def cancel(self) -> None:
        """Stop what runs."""
        ...

    def close(self) -> None:
        """End; nothing runs any more."""
        ...
