"""What a build would do, without building."""

from __future__ import annotations

from msgspec import Struct

from builder.api.build import engine_of, prepared
from builder.api.session import Session
from builder.request import BuildRequest
from builder.solve.plan import Fate as Fate
from builder.solve.plan import Planned
from builder.sources.resolver import PeekingResolver


class PlannedStep(Struct, frozen=True):
    """A step, base image or skipped stage. `fate`: cached, run, depends, pull or skipped.

    `reason` says why it would run, in the words of solve/lookup; `needs` are the names of the steps that would run
    before it and on whose results it depends.
    """

    place: str
    stage: str
    name: str
    fate: str
    reason: str = ""
    needs: tuple[str, ...] = ()


class Plan(Struct, frozen=True):
    """What a build would do. `runs`: something would run or be pulled."""

    buildfile: str
    runs: bool
    steps: tuple[PlannedStep, ...]


def plan(session: Session, request: BuildRequest) -> Plan:
    """What a build of `request` would do. Nothing runs, and nothing is pulled, recorded or tagged.

    Servers are asked as in a build, and what they give is fetched. Raises what a build raises before it runs anything.
    """
    with prepared(session, request, PeekingResolver) as begun:
        name, graph = begun.opened.source.name, begun.graph
        found = engine_of(session, request, begun).plan(graph)

        def step(one: Planned) -> PlannedStep:
            origin = graph.vertices[one.vertex].origin
            needs = tuple(graph.vertices[root].origin.name for root in one.needs)
            return PlannedStep(f"{name}:{origin.line}", origin.stage, origin.name, one.fate, one.reason or "", needs)

        skipped = (PlannedStep(f"{name}:{o.line}", o.stage, o.name, "skipped") for o in graph.skipped)
        runs = any(one.fate is not Fate.CACHED for one in found)
        return Plan(name, runs, (*map(step, found), *skipped))
