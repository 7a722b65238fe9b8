"""What a build shows without building: its graph, and the syntax tree of its Buildfile."""

from __future__ import annotations

from builder.api.build import prepared
from builder.api.session import Session
from builder.graph.vertex import Graph
from builder.lang import ast
from builder.request import BuildRequest
from builder.sources import buildfile


def graph(session: Session, request: BuildRequest) -> Graph:
    """The graph of a build, without building."""
    with prepared(session, request) as begun:
        return begun.graph


def draw_graph(session: Session, request: BuildRequest, form: str) -> str:
    """The graph of a build as text, dot or JSON."""
    # lazy: only `pybuild graph`
    from builder.graph.render import render

    return render(graph(session, request), form)


def parse(context: str, file: str | None) -> ast.Buildfile:
    """The syntax tree of a Buildfile."""
    return buildfile.parsed(buildfile.read(buildfile.find(context, file)))
