"""What a build would do, without building."""

from __future__ import annotations

from msgspec import Struct

from builder.api.build import engine_of, prepared
from builder.api.session import Session
from builder.digest import Digest
from builder.graph.vertex import Graph, Run
from builder.keys.diff import Difference, decoded, differences
from builder.request import BuildRequest
from builder.solve.lookup import Reason, Sought
from builder.solve.misses import Misses
from builder.solve.plan import Fate as Fate
from builder.solve.plan import Planned
from builder.sources.resolver import PeekingResolver
from builder.sources.selection import Selection
from builder.store.open import Store
from builder.views.why import shown


class PlannedStep(Struct, frozen=True):
    """A step, base image or skipped stage. `fate`: cached, remote, run, depends, pull or skipped.

    `reason` says why it would run, as in `cache why`: for `inputs`, `difference` is the first that differs from the
    nearest earlier record. `needs` are the names of the steps that would run before it and on whose results it depends.
    """

    place: str
    stage: str
    name: str
    fate: str
    reason: str = ""
    difference: Difference | None = None
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
        telling = _Telling(session.store, begun.opened.source.name, begun.graph)
        found = engine_of(session, request, begun).plan(begun.graph)
        return Plan(
            telling.buildfile, any(one.fate not in (Fate.CACHED, Fate.REMOTE) for one in found), telling.steps(found)
        )


class _Telling(Struct, frozen=True):
    """Puts what was planned into words of the Buildfile."""

    store: Store
    buildfile: str
    graph: Graph

    def steps(self, found: list[Planned]) -> tuple[PlannedStep, ...]:
        skipped = (PlannedStep(self._place(o.line), o.stage, o.name, "skipped") for o in self.graph.skipped)
        return (*map(self._step, found), *skipped)

    def _step(self, one: Planned) -> PlannedStep:
        origin = self.graph.vertices[one.vertex].origin
        needs = tuple(self.graph.vertices[root].origin.name for root in one.needs)
        reason, difference = one.reason or "", None
        if one.reason is Reason.REFUSED:
            reason = "no-cache"
        elif one.reason is Reason.ABSENT and one.sought is not None:
            reason, difference = self._absent(one, one.sought)
        return PlannedStep(self._place(origin.line), origin.stage, origin.name, one.fate, reason, difference, needs)

    def _absent(self, one: Planned, sought: Sought) -> tuple[str, Difference | None]:
        """Why there is no record: the reason, and the first that differs from the nearest."""
        if self.store.evictions.of(sought.key) is not None:
            return "evicted", None
        vertex = self.graph.vertices[one.vertex]
        record = Misses(self.store, self.buildfile, self.graph.vertices, set()).nearest_to(sought, vertex.origin)
        if record is None:
            return "never-built", None
        lists = {s.digest: s.listing for s in sought.chosen if isinstance(s, Selection)} | dict(sought.listings)

        def listing_of(text: str) -> bytes | None:
            digest = Digest(text.removeprefix("sha256:"))
            return lists[digest] if digest in lists else self.store.listings.get(digest)

        found = differences(decoded(record.preimage), decoded(sought.image), listing_of)
        arguments = vertex.arguments if isinstance(vertex, Run) else ()
        return "inputs", shown(found[0], arguments) if found else None

    def _place(self, line: int) -> str:
        return f"{self.buildfile}:{line}"
