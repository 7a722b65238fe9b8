"""What watchers are told of a build's vertices."""

from __future__ import annotations

from builder.digest import Digest
from builder.errors import CanceledError, PybuildError
from builder.events import CacheState, Described, Event, StageSkipped, VertexDone, VertexFailed, VertexStarted
from builder.graph.vertex import BaseImage, Graph, Origin, Scratch, VertexId, Workdir
from builder.image.descriptor import Descriptor, Layer
from builder.image.platform import Platform
from builder.solve.telling import Telling, beginning

LINUX = Platform("linux", "amd64")
BASE = BaseImage(Digest("a" * 64), "base", LINUX, Origin("FROM base", "app", 1))
GRAPH = Graph(
    (
        BASE,
        Scratch(LINUX, Origin("FROM scratch", "empty", 2)),
        Workdir(VertexId(0), "/a", origin=Origin("[2/3] WORKDIR /a", "app", 3)),
        Workdir(VertexId(2), "/b", origin=Origin("[3/3] WORKDIR /b", "app", 4)),
    ),
    (),
    skipped=(Origin("[docs] FROM base", "docs", 9),),
)


def layer(size: int) -> Layer:
    return Layer(Digest("b" * 64), Digest("c" * 64), size, Descriptor("", Digest("d" * 64), 1))


def test_a_build_begins_with_what_it_needs() -> None:
    begun = beginning(GRAPH, [0, 1, 2], "Buildfile")
    assert (begun.total, begun.buildfile) == (2, "Buildfile"), "nobody hears of an empty base"
    assert begun.vertices == (
        Described(0, "FROM base", (), "app", 1),
        Described(1, "FROM scratch", (), "empty", 2),
        Described(2, "[2/3] WORKDIR /a", (0,), "app", 3),
    )


def test_each_end_of_a_vertex_has_its_event() -> None:
    seen: list[Event] = []
    tell = Telling(GRAPH, seen.append)
    tell.base(0, BASE, CacheState.LOCAL, [layer(3), layer(4)])
    tell.cached(2, "key", layer(5), 1.5, remote=True)
    tell.started(3, 10.0, "key")
    tell.done(3, 10.0, "key", layer(6))
    tell.failed(3, 10.0, PybuildError("it broke"))
    tell.failed(3, 10.0, CanceledError("canceled"))
    tell.skipped()
    match seen:
        case [
            VertexDone(vertex=0, state=CacheState.LOCAL, seconds=0.0, key=base, size=7, saved=0.0),
            VertexDone(vertex=2, name="[2/3] WORKDIR /a", state=CacheState.REMOTE, key="key", size=5, saved=1.5),
            VertexStarted(vertex=3, name="[3/3] WORKDIR /b", time=10.0, key="key"),
            VertexDone(vertex=3, state=CacheState.DONE, seconds=seconds, time=ended, size=6),
            VertexFailed(vertex=3, message="it broke", canceled=False),
            VertexFailed(vertex=3, message="canceled", canceled=True),
            StageSkipped(vertex=-1, stage="docs", line=9),
        ]:
            assert base == "a" * 64
            assert ended == 10.0 + seconds
        case _:
            raise AssertionError(seen)
