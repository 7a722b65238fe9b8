"""What a solve would do, found out by look-ups alone: nothing runs, and nothing is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from enum import StrEnum

from msgspec import Struct

from builder.digest import Digest
from builder.errors import PybuildError, Where
from builder.graph.vertex import BaseImage, GitTree, Graph, Scratch, UrlFile, Vertex, VertexId, inputs
from builder.solve.lookup import Hit, Lookup, Reason, Sought, Unsettled
from builder.solve.result import Stack
from builder.solve.worker import Worker


class Fate(StrEnum):
    """What would become of a vertex."""

    CACHED = "cached"  # the store has it
    REMOTE = "remote"  # another machine's cache has it
    RUN = "run"
    DEPENDS = "depends"  # on what a run, or a pull, yields: the same as before, and it may be cached
    PULL = "pull"  # a base image that is not here


class Planned(Struct, frozen=True):
    """A vertex and its fate.

    `reason`: why it would run; `sought`: what it was looked up by then, if it was. `needs`: the vertices it depends on
    that would run first.
    """

    vertex: VertexId
    fate: Fate
    reason: Reason | None = None
    needs: tuple[VertexId, ...] = ()
    sought: Sought | None = None


def planned(
    graph: Graph,
    needed: Sequence[int],
    lookup: Lookup,
    worker: Callable[[], Worker],
    missing: Set[Digest],
    where: Callable[[Vertex], Where],
) -> list[Planned]:
    """The fate of the vertices `needed`, in order. `missing` are the manifests of base images that are not here.

    `worker` is asked for where what is taken of a stage must be looked for in its files. Raises what look-ups raise,
    with the place of the step.
    """
    stacks: dict[int, Stack] = {}
    found: dict[int, Planned] = {}
    for number in needed:
        vertex, described = VertexId(number), graph.vertices[number]
        waits = {below: found[below] for below in inputs(described) if below not in stacks}
        if isinstance(described, Scratch):
            stacks[vertex] = Stack()
        elif isinstance(described, BaseImage):
            far = lookup.remote is not None and lookup.remote.base(described.manifest) is not None
            if described.manifest in missing and not far:
                found[vertex] = Planned(vertex, Fate.PULL)
                continue
            stacks[vertex] = lookup.base(described)
            found[vertex] = Planned(vertex, Fate.REMOTE if far else Fate.CACHED)
        elif (told := lookup.told(vertex)) is not None:
            found[vertex] = Planned(vertex, Fate.RUN, told)
        elif waits:
            found[vertex] = Planned(vertex, Fate.DEPENDS, needs=_first(waits))
        else:
            try:
                found[vertex] = _looked_up(vertex, described, lookup, stacks, worker)
            except PybuildError as error:
                raise error.at(where(described)) from error
    return list(found.values())


def unfetched(graph: Graph, needed: Sequence[int], lookup: Lookup) -> list[UrlFile | GitTree]:
    """The URLs and git references among `needed` whose files no step has left: they would be fetched."""
    found = []
    for number in needed:
        vertex = graph.vertices[number]
        if isinstance(vertex, UrlFile | GitTree):
            sought = lookup.sought(vertex, lambda below: Stack())
            if isinstance(sought, Unsettled) or not isinstance(lookup.find(number, sought), Hit):
                found.append(vertex)
    return found


def _looked_up(
    vertex: VertexId, described: Vertex, lookup: Lookup, stacks: dict[int, Stack], worker: Callable[[], Worker]
) -> Planned:
    sought = lookup.sought(described, stacks.__getitem__)
    if isinstance(sought, Unsettled):
        sources = tuple(dict.fromkeys(pick.source for pick, stack in sought.picks if not lookup.here(stack)))
        if sources:  # nothing is fetched to know more
            return Planned(vertex, Fate.DEPENDS, needs=sources)
        sought = lookup.settled(sought, worker())
    hit = lookup.find(vertex, sought)
    if not isinstance(hit, Hit):
        return Planned(vertex, Fate.RUN, hit, sought=sought)
    below = inputs(described)
    stacks[vertex] = (stacks[below[0]] if below else Stack()).on_top(hit.layer, hit.record.created, None)
    return Planned(vertex, Fate.REMOTE if hit.remote else Fate.CACHED)


def _first(waits: dict[VertexId, Planned]) -> tuple[VertexId, ...]:
    """What would run first of all that a vertex waits for."""
    roots = [root for below, one in waits.items() for root in (one.needs or (below,))]
    return tuple(dict.fromkeys(roots))
