"""How a graph is solved, as data."""

from __future__ import annotations

from msgspec import Struct, field

from builder.sandbox.spec import Resources
from builder.stopping import Stop


class SolveOptions(Struct, frozen=True):
    """How to solve: vertices that are `ignored` are not looked up; `paranoid` takes no layer unread; `parallelism` is
    how many steps run at once.

    `allow` are the entitlements granted: what a step may not do unless the user says so. `keep` is how many RUNs that
    failed the caller keeps; with `take` it takes something out of one that fails, though it keeps none. `resources`
    are what each step may use: no part of a key, for a limit must not change what a step makes. `whole`: the layers of
    the targets are to be in the store, also where another machine's cache has them; and those of the vertices `files`.
    `stop` ends it.
    """

    ignored: frozenset[int] = frozenset()
    paranoid: bool = False
    parallelism: int = 4
    allow: tuple[str, ...] = ()
    keep: int = 0
    take: bool = False
    resources: Resources = Resources()
    whole: bool = True
    files: tuple[int, ...] = ()
    stop: Stop = field(default_factory=Stop)
