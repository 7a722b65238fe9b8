"""Graphs of one Buildfile for several platforms as one graph, in which what they share is there once.

A step is shared when all that it is made of is the same: those of a stage on the build platform are until an argument
such as TARGETARCH comes into them. As in BuildKit, names begin with the platform: `[linux/arm64 build 2/4] RUN make`,
and with both where a stage of one makes something for the other: `[linux/amd64->arm64 build 3/4] RUN make`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from builder.graph.vertex import (
    BaseImage,
    Copy,
    GitTree,
    Graph,
    Keyed,
    Origin,
    Run,
    Scratch,
    Target,
    UrlFile,
    Vertex,
    VertexId,
    Workdir,
)
from builder.image.platform import Platform

K = TypeVar("K", bound=Keyed)


def merged(graphs: Sequence[Graph]) -> Graph:
    """One graph with the targets of all; a single graph as it is."""
    if len(graphs) == 1:
        return graphs[0]
    vertices: dict[Vertex, VertexId] = {}
    users: dict[VertexId, set[Platform]] = {}
    targets: list[Target] = []
    for graph in graphs:
        moved: dict[int, VertexId] = {}
        for number, vertex in enumerate(graph.vertices):
            moved[number] = vertices.setdefault(_moved(vertex, moved), VertexId(len(vertices)))
            users.setdefault(moved[number], set()).update(target.platform for target in graph.targets)
        targets += [replace(target, top=moved[target.top]) for target in graph.targets]
    return Graph(
        _named(tuple(vertices), users),
        tuple(targets),
        tuple(dict.fromkeys(warning for graph in graphs for warning in graph.warnings)),
        graphs[0].epoch,
        tuple(origin for origin in graphs[0].skipped if all(origin in graph.skipped for graph in graphs)),
    )


def _moved(part: K, ids: Mapping[int, VertexId]) -> K:
    """`part` with its inputs where they are now."""
    changes: dict[str, object] = {}
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if name in part.INPUTS and value is not None:
            changes[name] = ids[value]
        elif isinstance(value, tuple) and any(isinstance(item, Keyed) for item in value):
            changes[name] = tuple(_moved(item, ids) for item in value)
    return replace(part, **changes) if changes else part


def _named(vertices: tuple[Vertex, ...], users: Mapping[VertexId, set[Platform]]) -> tuple[Vertex, ...]:
    """The vertices under names that tell them apart."""
    platforms: list[Platform | None] = []
    found: list[Vertex] = []
    for number, vertex in enumerate(vertices):
        own = _platform(vertex, platforms)
        platforms.append(own)
        origin = vertex.origin
        prefix = _prefix(own, users[VertexId(number)])
        found.append(replace(vertex, origin=replace(origin, name=_prefixed(origin, prefix))) if prefix else vertex)
    return tuple(found)


def _platform(vertex: Vertex, before: Sequence[Platform | None]) -> Platform | None:
    """What a vertex's files are for; None for files of no platform."""
    match vertex:
        case Scratch(platform=platform) | BaseImage(platform=platform):
            return platform
        case Copy(parent=parent) | Run(parent=parent) | Workdir(parent=parent):
            return before[parent]
        case UrlFile() | GitTree():
            return None


def _prefix(own: Platform | None, users: set[Platform]) -> str:
    user = next(iter(users)) if len(users) == 1 else None
    if own is None:
        return str(user or "")
    if user is None or user == own:
        return str(own)
    return f"{own}->{user if user.os != own.os else str(user).partition('/')[2]}"


def _prefixed(origin: Origin, prefix: str) -> str:
    return f"[{prefix} {origin.name[1:]}" if origin.name.startswith("[") else f"[{prefix}] {origin.name}"
