"""Why steps of a build ran: its journal, explained with the records and lists of the store."""

from __future__ import annotations

from msgspec import Struct

from builder.api.logs import build_of, step_of
from builder.api.session import Session
from builder.solve.journal import Build, builds, ended, facts
from builder.views.why import Cause as Cause
from builder.views.why import Why as Why
from builder.views.why import why


class AllCached(Struct, frozen=True):
    """A build in which nothing missed: when it ended, in seconds since the epoch, and its Buildfile."""

    at: float
    buildfile: str


class Explained(Struct, frozen=True):
    """A build and its steps; None when no build that ran something has a journal.

    `later`: the last build took every step from the cache, and `build` is the last that did not.
    """

    build: Build | None
    steps: tuple[Why, ...] = ()
    later: AllCached | None = None


def explain(session: Session, step: str = "", build: str = "") -> Explained:
    """Why steps of a build missed.

    `build` is an ID, its beginning, or `last` (also empty). `step` is a number, a FILE:LINE or a part of a name; empty:
    all that ran, and those that were cached though what they stand on ran. Raises NotFoundError, UsageError.
    """
    store = session.store
    known = builds(store.root)
    later = _later(session, known) if build in ("", "last") else None
    if not known and later is not None and not step:
        return Explained(None, later=later)
    found = build_of(known, build)
    steps = why(found, facts(store.root, found.id), store.records, store.listings)
    if step:
        number = step_of(found, step).number
        steps = [one for one in steps if one.number == number]
    else:
        steps = [one for one in steps if one.reason or one.after]
    return Explained(found, tuple(steps), later)


def _later(session: Session, known: list[Build]) -> AllCached | None:
    """The last build, when it has no journal: a build that hits notes the use of its records as it ends."""
    used = session.store.records.last_used()
    if used is None:
        return None
    over = ended(session.store.root, known[0].id) if known else None
    return AllCached(*used) if over is None or used[0] > over else None
