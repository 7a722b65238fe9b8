"""A worker whose layers may lie in caches that others share: they are fetched before a task needs their files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from builder.image.descriptor import Layer
from builder.layers.copyjob import Chosen
from builder.solve.remote import Remote
from builder.solve.worker import CacheDirectory, Lost, Outcome, Passing, RunTask, Task, Worker, needed

T = TypeVar("T")


def solved(attempt: Callable[[], T]) -> T:
    """What `attempt` gives once nothing it needs is lost. Each time it is tried less of the caches is known."""
    while True:
        try:
            return attempt()
        except Lost:
            continue


class Fetching(Passing):
    """A worker that has the layers of its tasks fetched first."""

    def __init__(self, worker: Worker, remote: Remote) -> None:
        super().__init__(worker)
        self._remote = remote

    def run(
        self,
        task: Task,
        stack: tuple[Layer, ...],
        output: Callable[[bytes], None],
        meanwhile: Callable[[], object],
    ) -> Outcome:
        """Do `task`. Raises Lost."""
        for layers in needed(task, stack):
            self._remote.fetch(layers)
        if self._remote.mounts is not None and isinstance(task, RunTask):
            self._remote.mounts.take([mount for mount in task.mounts if isinstance(mount, CacheDirectory)])
        return super().run(task, stack, output, meanwhile)

    def chosen(self, stack: tuple[Layer, ...], asked: tuple[Chosen, ...]) -> list[bytes]:
        """The lists of what is chosen. Raises Lost."""
        self._remote.fetch(stack)
        return super().chosen(stack, asked)

    def dated(self, layer: Layer, epoch: int, since: int) -> Layer:
        """`layer` in other times. Raises Lost."""
        self._remote.fetch((layer,))
        return super().dated(layer, epoch, since)

    def cancel(self) -> None:
        """Stop what runs."""
        self._remote.cancel()
        super().cancel()
