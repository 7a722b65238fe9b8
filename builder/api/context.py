"""Questions about build contexts, answered without building."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from builder.api.build import prepared
from builder.api.session import Session
from builder.graph.vertex import Graph
from builder.request import BuildRequest
from builder.sources.contexts import ContextSet
from builder.views import context as view
from builder.views.context import ContextRow, Why


def listed(session: Session, request: BuildRequest) -> list[ContextRow]:
    """The files a build would read."""
    with _looked_at(session, request) as (graph, contexts, buildfile):
        return view.rows(graph, contexts, buildfile)


def why(session: Session, request: BuildRequest, path: str) -> Why:
    """Why a build would read `path`, or not."""
    with _looked_at(session, request) as (graph, contexts, buildfile):
        return view.why(graph, contexts, buildfile, path)


@contextmanager
def _looked_at(session: Session, request: BuildRequest) -> Iterator[tuple[Graph, ContextSet, str]]:
    with prepared(session, request) as begun:
        yield begun.graph, begun.contexts, begun.opened.source.name
