"""The spans of a build in Chrome's trace event format, which Perfetto and chrome://tracing draw.

Format: "Trace Event Format" of the Chromium project, JSON object form: complete events (`ph` X) with times in
microseconds since the build began, in `tdur` what the thread used of a processor; metadata events (`ph` M) that name
processes and threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from builder.spans import SAVED, WHOLE, Span
from builder.views.timings import Timings

_MICROSECOND = 1000


def encoded(spans: Sequence[Span], found: Timings, process: int) -> bytes:
    """The trace; `found` are the timings of `spans`, and `process` is the main one's number."""
    events = [*_named(spans, found, process), *_events(spans, found)]
    return msgspec.json.encode({"traceEvents": events, "displayTimeUnit": "ms"}) + b"\n"


def _events(spans: Sequence[Span], found: Timings) -> Iterator[dict[str, Any]]:
    steps = {step.vertex: step for step in found.steps}
    began = min(span.start for span in spans)
    # Of those that begin together, the longer is around the other.
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        step = steps.get(span.step)
        named: dict[str, str | bool] = {} if step is None else {"step": step.name}
        if step is not None and span.phase == "step":
            named |= {"state": step.state, "critical path": step.critical}
        yield {
            "name": step.name if step is not None and span.phase == "step" else span.phase,
            "cat": "build" if span.step == WHOLE else "step",
            "ph": "X",
            "ts": (span.start - began) / _MICROSECOND,
            "dur": (span.end - span.start) / _MICROSECOND,
            "tdur": span.cpu / _MICROSECOND,
            "pid": span.process,
            "tid": span.thread,
            "args": {**named, **_numbers(span)},
        }


def _numbers(span: Span) -> dict[str, int | float]:
    found: dict[str, int | float] = {name: number for name, number in span.numbers.items() if name != SAVED}
    if SAVED in span.numbers:
        found["saved µs"] = span.numbers[SAVED] / _MICROSECOND
    return {**found, **{f"{phase} µs": time / _MICROSECOND for phase, time in span.shares.items()}}


def _named(spans: Sequence[Span], found: Timings, process: int) -> Iterator[dict[str, Any]]:
    """Names of processes and threads: a thread that worked for one step alone is called like it."""
    names = {step.vertex: step.name for step in found.steps}
    threads: dict[tuple[int, int], set[int]] = {}
    for span in spans:
        threads.setdefault((span.process, span.thread), set()).add(span.step)
    for number in dict.fromkeys(number for number, _ in threads):
        own_name = "pybuild" if number == process else "child of the launcher"
        yield _metadata("process_name", number, number, {"name": own_name})
        yield _metadata("process_sort_index", number, number, {"sort_index": 0 if number == process else number})
    for (number, thread), steps in threads.items():
        own = [names[step] for step in steps if step in names]
        name = "main" if thread == process else own[0] if len(own) == 1 else "steps"
        yield _metadata("thread_name", number, thread, {"name": name})


def _metadata(name: str, process: int, thread: int, args: dict[str, str | int]) -> dict[str, Any]:
    return {"name": name, "ph": "M", "pid": process, "tid": thread, "args": args}
