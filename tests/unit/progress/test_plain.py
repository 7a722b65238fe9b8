"""The plain progress: what a step says stands together, and nobody waits for long."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from time import gmtime, strftime

import pytest

from builder.events import (
    BuildDone,
    BuildFailed,
    CacheState,
    Event,
    LogLine,
    Note,
    Progress,
    VertexDone,
    VertexFailed,
    VertexStarted,
    Warned,
    Work,
)
from builder.progress import plain
from builder.progress.look import Look, Screen
from builder.progress.plain import Plain

LOOK = Look("plain")
FAILED = VertexFailed(1, "b", "exit code: 1", 1.0)


class Clock:
    """Time that goes on when it is told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_000_000_000.0 + self.now

    gmtime = staticmethod(gmtime)
    strftime = staticmethod(strftime)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(plain, "time", found)
    return found


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def shown(out: io.StringIO, events: list[Event], look: Look = LOOK) -> list[str]:
    draw = Plain(Screen(out), look)
    for event in events:
        draw(event)
    draw.close()
    return out.getvalue().splitlines()


def start(*vertices: int) -> list[Event]:
    return [VertexStarted(vertex, "abc"[vertex], 100.0) for vertex in vertices]


def done(vertex: int) -> VertexDone:
    return VertexDone(vertex, "abc"[vertex], CacheState.DONE, 1.0)


def test_one_step_speaks_until_it_ends(out: io.StringIO, clock: Clock) -> None:
    talk: list[Event] = [LogLine(v, f"line {n}", 100.0) for n in range(2) for v in (0, 1)]
    lines = shown(out, [*start(0, 1), *talk, done(1), done(0)])
    assert lines == [
        "", "#1 a", "#1 0.000 line 0", "#1 0.000 line 1", "#1 DONE 1.0s",
        "", "#2 b", "#2 0.000 line 0", "#2 0.000 line 1", "#2 DONE 1.0s",
    ]  # fmt: skip


def test_who_falls_silent_is_not_waited_for(out: io.StringIO, clock: Clock) -> None:
    draw = Plain(Screen(out), Look("plain"))
    for event in (*start(0, 1), LogLine(0, "first", 100.0)):
        draw(event)
    clock.now += 2
    draw(LogLine(1, "second", 102.0))
    assert out.getvalue() == "\n#1 a\n#1 0.000 first\n#1 ...\n\n#2 b\n#2 2.000 second\n"
    draw(done(1))
    draw(LogLine(0, "third", 103.0))
    draw(done(0))
    assert out.getvalue().endswith("#2 DONE 1.0s\n\n#1 a\n#1 3.000 third\n#1 DONE 1.0s\n")
    draw.close()


def test_who_never_falls_silent_lets_others_speak(out: io.StringIO, clock: Clock) -> None:
    draw = Plain(Screen(out), Look("plain"))
    for event in (*start(0, 1), LogLine(1, "waits", 100.0), *start(2), done(2)):
        draw(event)
    for _ in range(12):
        clock.now += 0.5
        draw(LogLine(0, "talks", clock.now))
    assert "#1 ...\n\n#3 c\n#3 DONE 1.0s\n\n#2 b\n#2 0.000 waits\n" in out.getvalue()
    draw.close()


def test_what_waits_is_told_though_nothing_more_happens(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_SILENT", 0.01)
    draw = Plain(Screen(out), Look("plain"))
    for event in (*start(0, 1), LogLine(1, "waits", 100.0)):
        draw(event)
    deadline = time.monotonic() + 30
    while "waits" not in out.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert out.getvalue().endswith("#1 ...\n\n#2 b\n#2 0.000 waits\n")
    draw.close()


def test_what_waits_at_the_end_is_told(out: io.StringIO, clock: Clock) -> None:
    lines = shown(out, [*start(0, 1, 2), LogLine(1, "one", 100.0), LogLine(2, "two", 100.0)])
    assert [line for line in lines if line.endswith(("one", "two"))] == ["#2 0.000 one", "#3 0.000 two"]


def test_times_are_told_on_request(out: io.StringIO, clock: Clock) -> None:
    events: list[Event] = [*start(0), LogLine(0, "text", 1_000_000_000.5), done(0), Note("tagged x")]
    assert shown(out, events, Look("plain", timestamps=True)) == [
        "",
        "2001-09-09T01:48:20.000Z #1 a",
        "2001-09-09T01:46:40.500Z #1 999999900.500 text",
        "2001-09-09T01:48:20.000Z #1 DONE 1.0s",
        "2001-09-09T01:48:20.000Z tagged x",
    ]


def test_bytes_are_told_by_tenths(out: io.StringIO, clock: Clock) -> None:
    told = [Progress(Work.PULL, "abc", n, 1000) for n in range(0, 1001, 50)]
    lines = shown(out, list(told))
    assert len(lines) == 11
    assert lines[-1] == "pull abc 1kB / 1kB"


def test_bytes_of_an_unknown_number_are_told_now_and_then(out: io.StringIO, clock: Clock) -> None:
    draw = Plain(Screen(out), Look("plain"))
    for at in range(12):
        clock.now = 100.0 + at
        draw(Progress(Work.FETCH, "https://x/y", at * 1000, 0))
    assert out.getvalue() == "fetch https://x/y 0B\nfetch https://x/y 5kB\nfetch https://x/y 10kB\n"


def test_bytes_for_a_step_stand_with_it(out: io.StringIO, clock: Clock) -> None:
    lines = shown(out, [*start(0), Progress(Work.FETCH, "x", 10, 10, 0), done(0)])
    assert lines == ["", "#1 a", "#1 fetch x 10B / 10B", "#1 DONE 1.0s"]


def test_bytes_of_what_is_soon_done_here_are_not_told(out: io.StringIO, clock: Clock) -> None:
    draw = Plain(Screen(out), Look("plain"))
    for kind, seconds in ((Work.CONTEXT, 0.1), (Work.EXPORT, 0.5)):
        for current in range(0, 101, 20):
            draw(Progress(kind, "x", current, 100))
            clock.now += seconds
    assert out.getvalue() == "export x 40B / 100B\nexport x 60B / 100B\nexport x 80B / 100B\nexport x 100B / 100B\n"


# --- the step that failed --------------------------------------------------------------------------


def untold(events: list[Event], look: Look = LOOK) -> list[str]:
    draw = Plain(Screen(io.StringIO()), look)
    for event in events:
        draw(event)
    return list(draw.untold(["last"], lambda: ["all", "::set-env::x", " ##[group]y"]))


def test_a_log_that_stands_right_above_is_not_told_again(clock: Clock) -> None:
    assert untold([*start(1), LogLine(1, "all", 100.0), FAILED, BuildFailed("it failed", 1.0)]) == []


def test_a_log_is_told_as_a_whole_where_others_spoke_since(clock: Clock) -> None:
    ended: list[Event] = [FAILED, VertexFailed(0, "a", "canceled", 1.0, canceled=True)]
    assert untold([*start(1, 0), LogLine(1, "all", 100.0), *ended, BuildFailed("it failed", 1.0)])[0] == "all"
    assert untold([*start(1), FAILED, Warned("something"), BuildFailed("it failed", 1.0)])[0] == "all"


def test_a_log_is_told_as_a_whole_where_others_spoke_meanwhile(clock: Clock) -> None:
    draw = Plain(Screen(io.StringIO()), Look("plain"))
    for event in (*start(1, 0), LogLine(1, "one", 100.0)):
        draw(event)
    clock.now += 2
    for event in (LogLine(0, "between", 102.0), done(0), LogLine(1, "two", 103.0), FAILED):
        draw(event)
    assert draw.untold([], lambda: ["whole"]) == ["whole"]


def test_no_line_of_the_log_is_a_command_of_the_service(clock: Clock) -> None:
    found = untold([*start(1), FAILED, Note("x")], Look("plain", "github"))
    assert found == ["all", ": :set-env::x", " ## [group]y"]


# --- folds -----------------------------------------------------------------------------------------


@pytest.fixture
def folding(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("builder.progress.folds.time", clock)
    yield


EVENTS: list[Event] = [
    VertexDone(2, "c", CacheState.LOCAL, 0.0),
    *start(0),
    LogLine(0, "::error::mine", 100.0),
    LogLine(0, "##[group]mine", 100.0),
    LogLine(0, "\x1b[0Ksection_start:1:x\r\x1b[0Kmine", 100.0),
    done(0),
    Warned("100% is: much", "a,b:3"),
    VertexStarted(1, "b", 100.0),
    FAILED,
    BuildFailed("it failed\x1b[2J", 1.0, "dir/Buildfile:7"),
]


def test_github_folds_steps_and_shows_errors_beside_lines(out: io.StringIO, folding: None) -> None:
    assert shown(out, EVENTS, Look("plain", "github")) == [
        "#1 c",
        "#1 CACHED (local)",
        "::group::#2 a",
        "#2 0.000 : :error::mine",
        "#2 0.000 ## [group]mine",
        "#2 0.000 mine",
        "::endgroup::",
        "#2 DONE 1.0s",
        "::warning file=a%2Cb,line=3::100%25 is: much",
        "::group::#3 b",
        "::endgroup::",
        "#3 ERROR: exit code: 1",
        "::error file=dir/Buildfile,line=7::it failed",
    ]


def test_gitlab_folds_steps(out: io.StringIO, folding: None) -> None:
    lines = shown(out, EVENTS, Look("plain", "gitlab"))
    assert lines[2] == ["\x1b[0Ksection_start:1000000100:pybuild_1_step_2", "\x1b[0K#2 a"][0]
    text = out.getvalue()
    assert "\x1b[0Ksection_start:1000000100:pybuild_1_step_2\r\x1b[0K#2 a\n#2 0.000 ::error::mine\n" in text
    assert "#2 0.000 mine\n\x1b[0Ksection_end:1000000100:pybuild_1_step_2\r\x1b[0K\n#2 DONE 1.0s\n" in text
    assert "WARNING: a,b:3: 100% is: much\n" in text
    assert text.count("section_start") == text.count("section_end") == 2


def test_a_step_that_goes_on_is_another_section(out: io.StringIO, folding: None, clock: Clock) -> None:
    draw = Plain(Screen(out), Look("plain", "gitlab"))
    for event in (*start(0, 1), LogLine(0, "x", 100.0)):
        draw(event)
    clock.now += 2
    for event in (LogLine(1, "y", 102.0), done(1), LogLine(0, "z", 102.0), done(0)):
        draw(event)
    names = [line.split(":")[2] for line in out.getvalue().split("\r") if "section_start" in line]
    assert names == ["pybuild_1_step_1", "pybuild_2_step_2", "pybuild_3_step_1"]


def test_colours_go_where_none_are_wanted(out: io.StringIO, clock: Clock) -> None:
    red: list[Event] = [*start(0), LogLine(0, "\x1b[31mred", 100.0)]
    assert shown(out, red, Look("plain", color=False))[-2] == "#1 0.000 red"


def test_the_summary_without_names_or_steps(out: io.StringIO, clock: Clock) -> None:
    assert shown(out, [BuildDone("sha256:0", 0, 0, 0.1)]) == [
        "", "built sha256:0", "0B, 0B of it new; no steps; in 0.1s",
    ]  # fmt: skip
