"""What steps may do only when the user says so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from builder.errors import BuildfileError, Where
from builder.graph.vertex import Vertex
from builder.solve import ops


def check(vertices: Iterable[Vertex], allow: Collection[str], where: Callable[[Vertex], Where]) -> None:
    """Raises BuildfileError for a step that needs an entitlement that is not in `allow`, cached or not."""
    for described in vertices:
        for name in ops.entitlements(described):
            if name not in allow:
                raise BuildfileError(
                    f"the step needs the entitlement {name}, which was not granted",
                    where=where(described),
                    hint=f"if you trust the Buildfile: --allow {name}",
                )
