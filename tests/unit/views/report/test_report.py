from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import StepFailedError, Where
from builder.events import (
    BuildDone,
    BuildStarted,
    CacheState,
    Described,
    Event,
    LogLine,
    Note,
    StageSkipped,
    VertexDone,
    VertexFailed,
    VertexStarted,
    Warned,
)
from builder.spans import WHOLE, Phase, Span, Vertices
from builder.views.report.facts import Report, bars
from builder.views.report.heard import Heard
from builder.views.report.page import clock, page, ticks
from builder.views.timings import timings

MS = 1_000_000
VERTICES = (
    Described(0, "FROM tools", (), "", 1),
    Described(1, "[compile 1/1] RUN make", (0,), "compile", 3),
    Described(2, "[docs 1/1] RUN write", (0,), "docs", 5),
    Described(3, "[stage-2 1/1] COPY --from=compile /a /", (0, 1, 2), "stage-2", 8),
)
STARTED = BuildStarted(4, VERTICES, "Buildfile", 100.0)
HOSTILE = '<script>alert("1")</script>\x1b[31m\u202ered</pre>'


def span(phase: Phase, step: int, start: int, end: int) -> Span:
    return Span(phase, step, start * MS, end * MS, 1, 1, {}, {})


SPANS = (
    span("start-up", WHOLE, 1000, 1100),
    span("look-up", 0, 1100, 1101),
    span("step", 1, 1110, 1510),
    span("command", 1, 1200, 1500),
    span("step", 2, 1110, 1200),
    span("end", WHOLE, 1980, 2000),
)


def reported(events: Sequence[Event], error: BaseException | None = None) -> Report:
    heard = Heard()
    for event in events:
        heard(event)
    names, inputs = (each.name for each in VERTICES), (each.inputs for each in VERTICES)
    return heard.report(1e9, SPANS, timings(SPANS, Vertices(tuple(names), tuple(inputs))), error)


def test_a_build_that_is_done() -> None:
    report = reported(
        [
            STARTED,
            StageSkipped(-1, "[unused] FROM tools", "unused", 6),
            Warned("old form", "Buildfile:3"),
            VertexDone(0, "FROM tools", CacheState.LOCAL, 0.0, size=1000, saved=0.5),
            VertexStarted(1, "[compile 1/1] RUN make", 101.0),
            LogLine(1, "made", 101.1),
            VertexDone(1, "[compile 1/1] RUN make", CacheState.DONE, 0.4, size=200),
            VertexDone(2, "[docs 1/1] RUN write", CacheState.REMOTE, 0.0, size=30),
            VertexDone(3, "[stage-2 1/1] COPY --from=compile /a /", CacheState.DONE, 0.1, size=4),
            Note("tagged app:latest"),
            BuildDone("sha256:1234", 2, 2, 1.0, ("app:latest",), 1004, 4, 0.5),
        ]
    )
    assert report.title == "app:latest"
    assert [step.state for step in report.steps] == ["cached", "done", "remote", "done", "skipped"]
    assert [step.place for step in report.steps] == [f"Buildfile:{n}" for n in (1, 3, 5, 8, 6)]
    assert (report.cached, report.needed, report.saved) == (2, 4, 0.5)
    assert [step.number for step in report.layers] == [0, 3], (
        "of other stages nothing is in the image but what is copied"
    )
    assert [step.critical for step in report.steps] == [True, True, False, False, False]
    assert report.steps[1].bars[0].start == 110 * MS
    assert not report.steps[-1].bars, "its number is that of the whole"
    assert not report.steps[1].log, "nobody asks what a step printed that is done"
    assert report.phases["command"] == 300 * MS
    text = page(report)
    assert "built in 1.00 s" in text
    assert "4, 2 of them cached" in text
    assert "1kB, 4B of it new" in text
    assert "old form" in text
    assert "tagged app:latest" in text


def test_a_build_that_failed_has_the_log_of_what_did() -> None:
    lines = [LogLine(1, f"line {n}", 101.0) for n in range(5003)]
    where = Where("Buildfile", 3, 0, "RUN make")
    report = reported(
        [
            STARTED,
            VertexDone(0, "FROM tools", CacheState.LOCAL, 0.0),
            VertexStarted(1, "[compile 1/1] RUN make", 101.0),
            VertexStarted(2, "[docs 1/1] RUN write", 101.0),
            *lines,
            VertexFailed(1, "[compile 1/1] RUN make", "exit code: 2", 0.4),
            VertexFailed(2, "[docs 1/1] RUN write", "canceled", 0.4, canceled=True),
        ],
        StepFailedError("make ended with 2", status=2, where=where, hint="look at it"),
    )
    assert report.title == "Buildfile"
    assert [step.state for step in report.steps] == ["cached", "failed", "canceled", "waiting"]
    failed = report.steps[1]
    assert (failed.lost, len(failed.log), failed.log[-1]) == (3, 5000, "line 5002")
    text = page(report)
    assert "failed in 1.00 s" in text
    assert "the first 3 lines are left out" in text
    for said in ("make ended with 2", "Buildfile:3", "RUN make", "look at it", "line 5002"):
        assert said in text


@pytest.mark.parametrize(("error", "said"), [(KeyboardInterrupt(), "interrupted"), (OSError(5, "x"), "OSError")])
def test_other_ends(error: BaseException, said: str) -> None:
    text = page(reported([], error))
    assert f'<p class="message">{said}</p>' in text
    assert 'id="graph"' not in text, "there were no steps yet"


def test_what_comes_from_a_build_is_text_whatever_is_in_it() -> None:
    report = reported(
        [
            BuildStarted(1, (Described(0, HOSTILE, (), HOSTILE, 1),), HOSTILE),
            Warned(HOSTILE, HOSTILE),
            Note(HOSTILE),
            LogLine(0, HOSTILE, 1.0),
            VertexFailed(0, HOSTILE, HOSTILE, 0.1),
        ],
        StepFailedError(HOSTILE, status=1, where=Where(HOSTILE, 1, 0, HOSTILE), hint=HOSTILE),
    )
    text = page(report)
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count("&lt;script&gt;") >= 9
    assert "default-src 'none'" in text


def test_a_page_needs_nothing_else() -> None:
    text = page(reported([STARTED]))
    assert not re.findall(r"(?:src|url|@import|https?:)[=(:/]", text)
    assert set(re.findall(r'href="(.)', text)) == {"#"}


def test_what_is_too_short_to_be_seen_is_not_drawn() -> None:
    assert [bar.phase for bar in bars(SPANS, 1000 * MS, 10_000 * MS)] == ["start-up", "step", "step", "command", "end"]


@given(st.integers(1, 10**15))
def test_a_scale_has_a_few_round_marks(whole: int) -> None:
    marks = ticks(whole)
    assert marks[0] == 0
    assert marks[-1] <= whole
    assert len(marks) <= 9
    if whole > 10:
        assert len(marks) >= 4


def test_words() -> None:
    assert [clock(n) for n in (0.0124, 1.234, 59.99, 245.2)] == ["12 ms", "1.23 s", "59.99 s", "4 min 05 s"]
