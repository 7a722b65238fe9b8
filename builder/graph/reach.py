"""Which vertices a graph's targets come by: all they need, and those whose layers are in their images."""

from __future__ import annotations

from builder.graph.vertex import Graph, VertexId, inputs


def needed_by(graph: Graph) -> list[int]:
    """The vertices the targets need, in order: lowering may have met a base image twice."""
    return [*below(graph, *(target.top for target in graph.targets))]


def below(graph: Graph, *tops: VertexId) -> list[VertexId]:
    """The vertices that `tops` are made of, themselves included, in order."""
    wanted: set[VertexId] = set()
    todo = list(tops)
    while todo:
        vertex = todo.pop()
        if vertex not in wanted:
            wanted.add(vertex)
            todo.extend(inputs(graph.vertices[vertex]))
    return sorted(wanted)


def in_images(graph: Graph) -> frozenset[int]:
    """The vertices whose layers are the image's."""
    found = set[int]()
    todo: list[int] = [target.top for target in graph.targets]
    while todo:
        vertex = todo.pop()
        found.add(vertex)
        todo += inputs(graph.vertices[vertex])[:1]
    return frozenset(found)
