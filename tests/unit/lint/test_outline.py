from __future__ import annotations

from builder.graph.lower import LowerOptions
from builder.graph.stages import needed, split
from builder.graph.walk import Ground, walk
from builder.image.platform import Platform
from builder.lang.parser import parse
from builder.lang.source import Source
from builder.lint.outline import Outline, outline, targets

AMD64 = Platform("linux", "amd64")

FILE = """\
# VERSION of the base
ARG VERSION=1
# TAG is made of it
ARG TAG=v${VERSION}
ARG UNUSED=1
ARG NAMED=outer
# tools has what others need
FROM base:$TAG AS tools
# TOOL to install
ARG TOOL
ARG TARGETARCH
RUN --mount=type=secret,id=token,required --mount=type=secret,target=/run/x make
FROM scratch AS alone
ARG OWN=1
RUN --mount=type=ssh,required=true fetch
FROM tools
# GREETING for all
# NAMED comes from above
ARG GREETING=hello$TOOL NAMED
ARG TOOL=later
RUN --mount=type=cache,target=/c/ --mount=type=cache,id=$GREETING,target=/d --mount=type=ssh,id=key make
COPY --from=1 a b
"""


def outlined(text: str, target: str = "", **build_args: str) -> Outline:
    source = Source("Buildfile", text)
    tree = parse(source)
    table = split(tree, source)
    walked = walk(table, tree.escape, LowerOptions(AMD64, AMD64, target, build_args), lambda *_: Ground())
    chosen = table.target(target)
    parents = {entry.stage.index: entry.parent for entry in walked.entries}
    reached = needed(table, chosen, lambda stage: parents[stage.index], source)
    return outline(chosen, reached, walked, source)


def test_a_target_takes_what_its_stages_take() -> None:
    found = outlined(FILE)
    assert [(a.name, a.value, a.description) for a in found.args] == [
        ("VERSION", "1", "of the base"),
        ("TAG", "v1", "is made of it"),
        ("NAMED", "outer", ""),
        ("OWN", "1", ""),
        ("GREETING", "hello", "for all"),
        ("TOOL", "later", ""),
    ]
    assert [(s.name, s.required) for s in found.secrets] == [("token", True), ("x", False)]
    assert [(s.name, s.required) for s in found.ssh] == [("default", True), ("key", False)]
    assert [c.ID for c in found.cache] == ["/c", "hello"]
    assert found.args[0].location.ranges[0].start.line == 2


def test_a_target_takes_nothing_of_stages_it_does_not_need() -> None:
    found = outlined(FILE, "alone")
    assert [a.name for a in found.args] == ["OWN"]
    assert (found.name, found.secrets, found.cache) == ("alone", (), ())


def test_given_arguments_are_shown() -> None:
    found = outlined(FILE, "tools", VERSION="2", TOOL="gcc")
    assert {a.name: a.value for a in found.args} == {"VERSION": "2", "TAG": "v2", "TOOL": "gcc"}
    assert found.description == "has what others need"


def test_the_targets_are_the_stages() -> None:
    source = Source("Buildfile", FILE.replace("FROM scratch", "FROM --platform=$BUILDPLATFORM scratch"))
    found = targets(split(parse(source), source), source)
    assert [(t.name, t.default, t.description, t.base, t.platform) for t in found.targets] == [
        ("tools", False, "has what others need", "base:$TAG", ""),
        ("alone", False, "", "scratch", "$BUILDPLATFORM"),
        ("", True, "", "tools", ""),
    ]
