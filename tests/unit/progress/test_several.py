"""Several builds watched as one."""

from __future__ import annotations

from builder.events import (
    BuildDone,
    BuildFailed,
    BuildStarted,
    CacheState,
    Described,
    Event,
    LogLine,
    Note,
    Progress,
    StageSkipped,
    VertexDone,
    Warned,
    Work,
)
from builder.progress.several import Several, named


def test_builds_have_their_own_numbers_and_names() -> None:
    told: list[Event] = []
    several = Several(told.append)
    for number, name in enumerate(("app", "db")):
        watch = several.watcher(number, name)
        watch(BuildStarted(2, (Described(0, "[1/2] FROM x"), Described(1, "[2/2] RUN y", (0,)))))
        watch(VertexDone(1, "[2/2] RUN y", CacheState.DONE, 1.0))
        watch(LogLine(1, "text", 0.0))
        watch(StageSkipped(-1, "[s] FROM z", "s", 3))
        watch(Progress(Work.PULL, "layer", 1, 2, 1))
        watch(Progress(Work.PULL, "layer", 1, 2))
        watch(Warned("careful", "F:1"))
        watch(Note("tagged x"))
    vertices = [v.vertex for event in told if isinstance(event, BuildStarted) for v in event.vertices]
    assert len(set(vertices)) == 4
    started = [event for event in told if isinstance(event, BuildStarted)]
    assert [event.total for event in started] == [2, 4]
    assert started[1].vertices[1].inputs == (started[1].vertices[0].vertex,)
    assert [event.name for event in told if isinstance(event, VertexDone)] == ["[app 2/2] RUN y", "[db 2/2] RUN y"]
    for kind in (VertexDone, LogLine, StageSkipped):
        assert len({event.vertex for event in told if isinstance(event, kind)}) == 2
    assert {event.vertex for event in told if isinstance(event, LogLine)} <= set(vertices)
    assert [e.vertex for e in told if isinstance(e, Progress)] == [vertices[1], None, vertices[3], None]
    assert Warned("db: careful", "F:1") in told
    assert Note("app: tagged x") in told
    assert named("fetch it", "app") == "[app] fetch it"


def test_that_all_is_done_is_told_once() -> None:
    told: list[Event] = []
    several = Several(told.append)
    several.watcher(1, "db")(BuildDone("sha256:b", 3, 4, 1.0, ("b",), 20, 6, 2.0))
    several.watcher(0, "app")(BuildDone("sha256:a", 1, 2, 1.0, ("a",), 10, 5, 1.5))
    several.end()
    *notes, done = told
    assert notes == [Note("db: built sha256:b"), Note("app: built sha256:a")]
    assert isinstance(done, BuildDone)
    assert (done.image, done.cached, done.ran, done.names) == ("", 4, 6, ("a", "b"))
    assert (done.size, done.new, done.saved) == (30, 11, 3.5)


def test_only_the_first_failure_is_told() -> None:
    told: list[Event] = []
    several = Several(told.append)
    several.watcher(0, "app")(BuildFailed("canceled", 1.0, canceled=True))
    several.watcher(1, "db")(BuildFailed("it broke", 1.0, "F:1"))
    several.watcher(2, "web")(BuildFailed("so did this", 1.0))
    assert told == [BuildFailed("db: it broke", 1.0, "F:1")]
