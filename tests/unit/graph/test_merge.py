from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.graph.merge import merged
from builder.graph.vertex import Graph, Origin, inputs
from builder.image.platform import Platform
from tests.unit.graph.test_lower import lowered

AMD64, ARM64, ARMV7 = (Platform.parse(text) for text in ("linux/amd64", "linux/arm64", "linux/arm/v7"))
CROSS = """
FROM --platform=$BUILDPLATFORM base AS tools
RUN shared
ARG TARGETARCH
RUN build for $TARGETARCH
FROM base
RUN own
COPY --from=tools /out /
ADD https://example.com/file /
"""


def graphs(text: str, *platforms: Platform) -> list[Graph]:
    return [lowered(text, platform=platform) for platform in platforms]


def names(graph: Graph) -> list[str]:
    return [vertex.origin.name for vertex in graph.vertices]


def test_one_graph_stays_as_it_is() -> None:
    (one,) = graphs(CROSS, AMD64)
    assert merged([one]) is one


def test_what_is_shared_is_there_once_and_names_tell_the_rest_apart() -> None:
    found = merged(graphs(CROSS, AMD64, ARM64, ARMV7))
    assert names(found) == [
        "[linux/amd64] FROM base",
        "[linux/amd64 tools 2/3] RUN shared",
        "[linux/amd64 tools 3/3] RUN build for $TARGETARCH",
        "[linux/amd64] FROM base",
        "[linux/amd64 stage-1 2/4] RUN own",
        "[linux/amd64 stage-1 3/4] COPY --from=tools /out /",
        "fetch https://example.com/file",
        "[linux/amd64 stage-1 4/4] ADD https://example.com/file /",
        "[linux/amd64->arm64 tools 3/3] RUN build for $TARGETARCH",
        "[linux/arm64] FROM base",
        "[linux/arm64 stage-1 2/4] RUN own",
        "[linux/arm64 stage-1 3/4] COPY --from=tools /out /",
        "[linux/arm64 stage-1 4/4] ADD https://example.com/file /",
        "[linux/amd64->arm/v7 tools 3/3] RUN build for $TARGETARCH",
        "[linux/arm/v7] FROM base",
        "[linux/arm/v7 stage-1 2/4] RUN own",
        "[linux/arm/v7 stage-1 3/4] COPY --from=tools /out /",
        "[linux/arm/v7 stage-1 4/4] ADD https://example.com/file /",
    ]
    assert [target.platform for target in found.targets] == [AMD64, ARM64, ARMV7]


def test_stages_are_skipped_that_none_needs_and_warnings_told_once() -> None:
    text = "FROM base AS for-amd64\nFROM base AS for-arm64\nFROM base AS none\nFROM for-$TARGETARCH"
    each = [lowered(text, platform=platform, build_args={"X": "1"}) for platform in (AMD64, ARM64)]
    found = merged(each)
    assert found.skipped == (Origin("[none] FROM base AS none", "none", 3),)
    assert len(found.warnings) == 1


LINES = st.sampled_from(
    ["RUN a", "RUN b $TARGETARCH", "ARG TARGETARCH", "WORKDIR /w", "COPY --from=first /x /", "COPY y /",
     "RUN --mount=type=bind,from=first,target=/m c", "RUN --mount=type=cache,from=first,target=/c d",
     "ADD https://example.com/f https://example.com/g z /"]
)  # fmt: skip
STAGES = st.sampled_from(["FROM base", "FROM scratch", "FROM --platform=$BUILDPLATFORM base", "FROM first"])


def shape(graph: Graph, number: int) -> object:
    """A vertex and all below it, without numbers and without names."""
    vertex = graph.vertices[number]
    fields = {name: getattr(vertex, name) for name in vertex.__struct_fields__ if name in ("argv", "paths", "platform")}
    return type(vertex).__name__, str(fields), tuple(shape(graph, below) for below in inputs(vertex))


@given(st.lists(LINES, max_size=4), st.lists(st.tuples(STAGES, st.lists(LINES, max_size=4)), min_size=1, max_size=3))
def test_each_target_is_made_of_what_it_was_made_of(first: list[str], stages: list[tuple[str, list[str]]]) -> None:
    head = [line for line in first if "first" not in line]
    text = "\n".join(
        ["FROM --platform=$BUILDPLATFORM base AS first", *head, *(x for s, ls in stages for x in (s, *ls))]
    )
    each = graphs(text, AMD64, ARM64)
    found = merged(each)
    for graph, target in zip(each, found.targets, strict=True):
        assert shape(found, target.top) == shape(graph, graph.targets[0].top)
        assert target.config == graph.targets[0].config
    assert all(below < number for number, vertex in enumerate(found.vertices) for below in inputs(vertex))
    assert len(set(found.vertices)) == len(found.vertices)
