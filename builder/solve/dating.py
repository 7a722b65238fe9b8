"""SOURCE_DATE_EPOCH laid over the layers of a build, where they are seen: below its steps and in its image.

Records lead to layers in real times, and no key knows of the epoch: under another one nothing runs again, layers are
only written in other times. The store remembers which layer that gave.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from msgspec.structs import replace

from builder.digest import Digest
from builder.graph.vertex import Copy, Vertex, Workdir
from builder.image.descriptor import Layer
from builder.solve.result import Stack
from builder.solve.worker import ContextMount, RunTask, Task, Worker
from builder.store.memo import DATED
from builder.store.open import Store

# Before any time a file can have.
_EVERYTHING = -(1 << 62)
# The clock of a file system lags behind the one that says when a step began.
_LAG_SECONDS = 1


def new_since(vertex: Vertex, made: float) -> int:
    """From when on what is in the layer of `vertex`, made at `made`, is new: for files that are copied, from ever."""
    return _EVERYTHING if isinstance(vertex, Copy | Workdir) else int(made) - _LAG_SECONDS


class Dating:
    """Lays `epoch` (None: nothing) over stacks. Used by several threads."""

    def __init__(self, store: Store, worker: Callable[[], Worker], epoch: int | None) -> None:
        self._store, self._worker, self._epoch = store, worker, epoch
        self._lock = threading.Lock()
        self._known: dict[tuple[Digest, int], Layer] = {}

    def stack(self, stack: Stack) -> Stack:
        """`stack` with what this build made of it under the epoch."""
        if self._epoch is None:
            return stack
        with self._lock:  # two steps on one stack need it at the same time
            layers = tuple(
                layer if since is None else self._layer(layer, self._epoch, since)
                for layer, since in zip(stack.layers, stack.since, strict=True)
            )
        return replace(stack, layers=layers)

    def task(self, task: Task) -> Task:
        """`task`, which sees files of build contexts under the epoch too."""
        if self._epoch is None or not isinstance(task, RunTask):
            return task
        mounts = (replace(m, epoch=self._epoch) if isinstance(m, ContextMount) else m for m in task.mounts)
        return replace(task, mounts=tuple(mounts))

    def _layer(self, layer: Layer, epoch: int, since: int) -> Layer:
        found = self._known.get((layer.diff_id, since))
        if found is None:
            found = self._known[layer.diff_id, since] = self._stored(layer, epoch, since)
        return found

    def _stored(self, layer: Layer, epoch: int, since: int) -> Layer:
        key = f"{layer.diff_id.hex} {epoch} {since}"
        known = self._store.memo.get(DATED, key)
        found = None if known is None else self._store.layer(Digest(known.decode()))
        if found is None:
            found = self._worker().dated(layer, epoch, since)
            self._store.layers.add(found)
            self._store.memo.put(DATED, key, found.diff_id.hex.encode())
        return found
