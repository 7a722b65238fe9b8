"""What a build says of its steps, and of what it did nothing for."""

from __future__ import annotations

import json

from tests.support.program import Pybuild

STAGES = """FROM base AS one
RUN echo 1 > /1
FROM base AS docs
RUN echo never
FROM docs AS test
RUN echo neither
FROM base
COPY --from=one /1 /1
"""
FAILING = """FROM base AS slow
RUN sleep 60
FROM base AS fails
RUN sleep 0.5; false
FROM base
COPY --from=slow /x /
COPY --from=fails /y /
"""


def test_stages_that_are_not_needed_are_told_with_those_that_are(pybuild: Pybuild) -> None:
    pybuild.base()
    first = pybuild.build(STAGES).ok()
    assert first.ran == ["RUN echo 1 > /1", "COPY --from=one /1 /1"]
    assert "[docs] FROM base AS docs\n#5 SKIPPED (not needed)\n" in first.err
    assert "[test] FROM docs AS test\n#6 SKIPPED (not needed)\n" in first.err
    again = pybuild.build(STAGES, "--target", "one").ok()
    assert again.err.count("SKIPPED (not needed)") == 3
    assert "RUN echo 1 > /1\n#2 CACHED (local)\n" in again.err
    states = {s["name"]: s["state"] for s in json.loads(pybuild("logs", "--list", "--format", "json"))[0]["steps"]}
    assert states["[docs] FROM base AS docs"] == "skipped"
    assert states["[one 2/2] RUN echo 1 > /1"] == "done"
    assert "2 ran, 2 cached" in pybuild("cache", "why", "--build", "last")


def test_a_step_that_is_stopped_has_not_failed(pybuild: Pybuild) -> None:
    pybuild.base()
    done = pybuild.build(FAILING)
    assert done.status == 1
    assert done.err.count("CANCELED") == 1
    assert done.err.count("ERROR:") == 1
    assert "ERROR: canceled" not in done.err
