from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from builder.spans import FAILED, SAVED, WHOLE, Phase, Span, Vertices
from builder.views.timings import (
    OTHER,
    OVERHEAD,
    Timings,
    covered,
    critical_path,
    exclusive,
    shared,
    timings,
    together,
)
from builder.views.timingtext import drawn
from builder.views.trace import encoded
from tests.support.timings import understood

MS = 1_000_000
INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted).map(tuple), max_size=12)  # type: ignore[arg-type]


def span(phase: Phase, step: int, start: int, end: int, thread: int = 1, **numbers: int) -> Span:
    return Span(phase, step, start, end, 1, thread, numbers, {})


# --- intervals -------------------------------------------------------------------------------------


@given(INTERVALS)
def test_every_instant_counts_once_for_the_innermost(intervals: list[tuple[int, int]]) -> None:
    expected = [0] * len(intervals)
    for at in range(60):
        inside = [i for i, (start, end) in enumerate(intervals) if start <= at < end]
        if inside:
            latest = max(inside, key=lambda i: (intervals[i][0], -intervals[i][1], i))
            expected[latest] += 1
    assert exclusive(intervals) == expected
    assert covered(intervals) == len({at for start, end in intervals for at in range(start, end)})


@given(INTERVALS)
def test_what_is_at_once_is_counted(intervals: list[tuple[int, int]]) -> None:
    expected: dict[int, int] = {}
    for at in range(60):
        count = sum(start <= at < end for start, end in intervals)
        if count > 1:
            expected[count] = expected.get(count, 0) + 1
    assert together(intervals) == expected


@given(st.integers(0, 10**6), st.dictionaries(st.sampled_from(["tar", "hash", "diff"]), st.integers(0, 10**6)))
def test_shares_are_of_what_a_span_took_and_no_more(time: int, shares: dict[Phase, int]) -> None:
    found = shared("tar", time, shares)
    assert sum(found.values()) == time
    assert all(part >= 0 for part in found.values())
    if sum(shares.values()) <= time:
        assert all(found[phase] >= share for phase, share in shares.items())


# --- the critical path -----------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[int, int], dict[int, tuple[int, ...]]]:
    count = draw(st.integers(1, 9))
    took = {step: draw(st.integers(0, 50)) for step in range(count)}
    inputs = {
        step: tuple(draw(st.lists(st.integers(0, step - 1), max_size=3, unique=True))) if step else ()
        for step in range(count)
    }
    return took, inputs


def chains(step: int, inputs: dict[int, tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [(step,), *((*chain, step) for below in inputs[step] for chain in chains(below, inputs))]


@given(graphs())
def test_the_critical_path_is_the_longest_of_all_chains(
    graph: tuple[dict[int, int], dict[int, tuple[int, ...]]],
) -> None:
    took, inputs = graph
    path = critical_path(took, inputs)
    assert all(before in inputs[step] for before, step in pairwise(path))
    longest = max(sum(took[each] for each in chain) for step in took for chain in chains(step, inputs))
    assert sum(took[step] for step in path) == longest


def test_nothing_has_no_critical_path() -> None:
    assert critical_path({}, {}) == ()


# --- a build ---------------------------------------------------------------------------------------


@st.composite
def builds(draw: st.DrawFn) -> tuple[list[Span], Vertices]:
    """What a scheduler with some slots makes of a graph: look-ups one by one, the steps that missed on threads."""
    took, inputs = draw(graphs())
    slots = [0] * draw(st.integers(1, 3))
    looking, ends, spans = 5, dict[int, int](), [span("start-up", WHOLE, 0, 5)]
    for step in took:
        begun = max([looking, *(ends[below] for below in inputs[step])])
        looking = begun + draw(st.integers(1, 3))
        spans.append(span("look-up", step, begun, looking))
        ends[step] = looking
        if draw(st.booleans()):
            slot = slots.index(min(slots))
            start = max(looking, slots[slot])
            slots[slot] = ends[step] = start + took[step]
            spans.append(span("wait", step, looking, start, step + 2))
            spans.append(span("step", step, start, ends[step], step + 2))
            middle = draw(st.integers(start, ends[step]))
            spans.append(span("command", step, middle, ends[step], step + 2))
    return spans, Vertices(tuple(f"step {step}" for step in took), tuple(inputs.values()))


@given(builds())
def test_phases_add_up_and_the_critical_path_is_between_the_longest_step_and_the_whole(
    build: tuple[list[Span], Vertices],
) -> None:
    spans, vertices = build
    found = timings(spans, vertices)
    assert sum(found.phases.values()) == found.whole
    assert max(step.took for step in found.steps) <= found.critical <= found.whole
    for step in found.steps:
        own = [(each.start, each.end) for each in spans if each.step == step.vertex]
        assert sum(step.phases.values()) == step.whole == covered(own) <= found.whole
    assert sum(found.totals.values()) == sum(step.whole for step in found.steps)
    assert sum(time * count for count, time in found.together.items()) <= sum(step.took for step in found.steps)
    assert {step.vertex for step in found.steps if step.critical} == set(
        critical_path({step.vertex: step.took for step in found.steps}, dict(enumerate(vertices.inputs)))
    )


def example() -> tuple[list[Span], Vertices]:
    """Two steps side by side on a cached one, one of them waiting before; the second fails."""
    spans = [
        span("start-up", WHOLE, 0, 40 * MS),
        span("look-up", 0, 50 * MS, 51 * MS, saved=3000 * MS),
        span("look-up", 1, 51 * MS, 52 * MS),
        span("look-up", 2, 52 * MS, 53 * MS),
        span("wait", 1, 52 * MS, 60 * MS, 2),
        span("step", 1, 60 * MS, 160 * MS, 2),
        span("wait", 2, 53 * MS, 61 * MS, 3),
        span("step", 2, 61 * MS, 261 * MS, 3, failed=1),
        span("command", 2, 100 * MS, 250 * MS, 4),
        Span("tar", 1, 100 * MS, 150 * MS, 9, 9, {"bytes": 7}, {"hash": 20 * MS}),
        span("end", WHOLE, 300 * MS, 310 * MS),
    ]
    return spans, Vertices(("[1/3] COPY a", "[2/3] RUN b", "[3/3] RUN c"), ((), (0,), (0,)))


def test_a_build_is_told_of() -> None:
    found = timings(*example())
    assert (found.whole, found.critical) == (310 * MS, 202 * MS)
    assert found.together == {2: 99 * MS}
    copied, ran, failed = found.steps
    assert (copied.state, copied.saved, copied.critical) == ("cached", 3000 * MS, True)
    assert (ran.state, ran.critical, ran.took) == ("ran", False, 101 * MS)
    assert ran.phases == {"step": 50 * MS, "tar": 30 * MS, "hash": 20 * MS, "wait": 8 * MS, "look-up": MS}
    assert (failed.state, failed.critical) == ("failed", True)
    assert found.phases == {"start-up": 40 * MS, "steps": 211 * MS, "end": 10 * MS, "other": 49 * MS}


def test_the_report_has_a_line_for_each_step_that_took_time() -> None:
    assert drawn(timings(*example())).splitlines() == [
        "where 0.310 s went: start-up 0.040, steps 0.211, end 0.010, other 0.049",
        "  [2/3] RUN b    0.109  overhead 0.050, tar 0.030, hash 0.020, wait 0.008",
        "* [3/3] RUN c    0.209  failed; command 0.150, overhead 0.050, wait 0.008",
        "  1 step, cached: 0.001",
        "critical path (*): 0.202 s in 2 steps",
        "all steps: command 0.150, overhead 0.100, tar 0.030, hash 0.020, wait 0.016",
        "side by side: 2 steps for 0.099 s",
        "cached: 1 step that took 3.000 s when it ran",
    ]


def test_a_build_that_came_to_no_step_is_told_of() -> None:
    assert drawn(timings([span("start-up", WHOLE, 0, 5 * MS), span("parse", WHOLE, 5 * MS, 5 * MS)], Vertices())) == (
        "where 0.005 s went: start-up 0.005\n"
    )


def test_long_names_are_cut() -> None:
    vertices = Vertices(("x" * 100,), ((),))
    line = drawn(timings([span("step", 0, 0, 9 * MS)], vertices)).splitlines()[1]
    assert line == f"* {'x' * 35}…    0.009  overhead 0.009"


def test_the_docs_show_what_is_printed_and_tell_of_each_phase() -> None:
    page = (Path(__file__).parents[3] / "docs/performance.md").read_text()
    (shown,) = re.findall(r"^```timings\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    whole, steps = understood(shown)
    assert set(whole) & {"start-up", "steps"}
    assert len(steps) > 2
    table = page[page.index("| phase |") :].partition("\n\n")[0]
    told = {phase for row in table.splitlines()[2:] for phase in re.findall(r"`([a-z-]+)`", row.split(" | ")[0])}
    assert told == {*get_args(Phase)} - {OVERHEAD} | {"overhead", OTHER}


# --- the trace -------------------------------------------------------------------------------------


def traced(spans: Sequence[Span], found: Timings) -> list[dict[str, object]]:
    events: list[dict[str, object]] = json.loads(encoded(spans, found, 1))["traceEvents"]
    return events


def test_the_trace_is_in_chrome_s_format() -> None:
    spans, vertices = example()
    events = traced(spans, timings(spans, vertices))
    complete = [event for event in events if event["ph"] == "X"]
    assert len(complete) == len(spans)
    for event in complete:
        assert set(event) == {"name", "cat", "ph", "ts", "dur", "tdur", "pid", "tid", "args"}
    tar = next(event for event in complete if event["name"] == "tar")
    assert (tar["ts"], tar["dur"], tar["pid"], tar["tid"]) == (100_000, 50_000, 9, 9)
    assert tar["args"] == {"step": "[2/3] RUN b", "bytes": 7, "hash µs": 20_000}
    ran = next(event for event in complete if event["name"] == "[3/3] RUN c")
    assert ran["args"] == {"step": "[3/3] RUN c", "state": "failed", "critical path": True, FAILED: 1}
    assert complete[1]["args"] == {"step": "[1/3] COPY a", f"{SAVED} µs": 3_000_000}


def test_the_trace_names_processes_and_threads() -> None:
    spans, vertices = example()
    named = {
        (event["name"], event["pid"], event["tid"]): event["args"]
        for event in traced(spans, timings(spans, vertices))
        if event["ph"] == "M"
    }
    assert named["process_name", 1, 1] == {"name": "pybuild"}
    assert named["process_name", 9, 9] == {"name": "child of the launcher"}
    assert named["thread_name", 1, 1] == {"name": "main"}
    assert named["thread_name", 1, 2] == {"name": "[2/3] RUN b"}
    assert {(pid, tid) for name, pid, tid in named if name == "thread_name"} == {(s.process, s.thread) for s in spans}


@given(builds())
def test_every_span_is_in_the_trace_and_none_begins_before_the_build(build: tuple[list[Span], Vertices]) -> None:
    spans, vertices = build
    complete = [event for event in traced(spans, timings(spans, vertices)) if event["ph"] == "X"]
    began = min(each.start for each in spans)
    assert sorted((e["ts"], e["dur"]) for e in complete) == sorted(
        ((s.start - began) / 1000, (s.end - s.start) / 1000) for s in spans
    )
