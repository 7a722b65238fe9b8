"""What is told of the vertices of a build, as events: how each began, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Iterable

from builder.errors import CanceledError, PybuildError
from builder.events import (
    BuildStarted,
    CacheState,
    Described,
    Emit,
    StageSkipped,
    VertexDone,
    VertexFailed,
    VertexStarted,
)
from builder.graph.vertex import BaseImage, Graph, Scratch, inputs
from builder.image.descriptor import Layer


def beginning(graph: Graph, needed: list[int], buildfile: str) -> BuildStarted:
    """That the vertices `needed` of `graph` are going to be solved. Nothing is told of empty bases any more."""
    vertices = graph.vertices
    described = [
        Described(v, vertices[v].origin.name, inputs(vertices[v]), vertices[v].origin.stage, vertices[v].origin.line)
        for v in needed
    ]
    total = sum(1 for v in needed if not isinstance(vertices[v], Scratch))
    return BuildStarted(total, tuple(described), buildfile, time.time())


class Telling:
    """Tells `emit` of the vertices of `graph`; from any thread."""

    def __init__(self, graph: Graph, emit: Emit) -> None:
        self._graph, self._emit = graph, emit

    def base(self, vertex: int, described: BaseImage, state: CacheState, layers: Iterable[Layer]) -> None:
        """A base image was found."""
        size = sum(layer.size for layer in layers)
        key = described.manifest.hex
        self._emit(VertexDone(vertex, described.origin.name, state, 0.0, time.time(), key, size))

    def started(self, vertex: int, began: float, key: str = "") -> None:
        """A vertex runs since `began`, in seconds since the epoch."""
        self._emit(VertexStarted(vertex, self._name(vertex), began, key))

    def cached(self, vertex: int, key: str, layer: Layer, saved: float, *, remote: bool) -> None:
        """A vertex was found, here or in a cache that others share."""
        state = CacheState.REMOTE if remote else CacheState.LOCAL
        self._emit(VertexDone(vertex, self._name(vertex), state, 0.0, time.time(), key, layer.size, saved))

    def done(self, vertex: int, began: float, key: str, layer: Layer) -> None:
        """A vertex has run since `began`."""
        now = time.time()
        self._emit(VertexDone(vertex, self._name(vertex), CacheState.DONE, now - began, now, key, layer.size))

    def failed(self, vertex: int, began: float, error: PybuildError) -> None:
        """A vertex ended with an error."""
        now, canceled = time.time(), isinstance(error, CanceledError)
        self._emit(VertexFailed(vertex, self._name(vertex), error.message, now - began, canceled, now))

    def skipped(self) -> None:
        """The stages nothing was done of."""
        for number, origin in enumerate(self._graph.skipped):
            self._emit(StageSkipped(-1 - number, origin.name, origin.stage, origin.line))

    def _name(self, vertex: int) -> str:
        return self._graph.vertices[vertex].origin.name
