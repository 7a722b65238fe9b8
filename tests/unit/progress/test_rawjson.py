"""Lines of JSON as BuildKit's client.SolveStatus has them."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

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
    VertexFailed,
    VertexStarted,
    Warned,
    Work,
)
from builder.progress.look import Screen
from builder.progress.rawjson import RawJson

STARTED = BuildStarted(
    3, (Described(0, "FROM base"), Described(2, "[2/3] RUN a", (0,)), Described(3, "RUN b", (2,))), "f"
)


def written(*events: Event) -> list[dict[str, Any]]:
    out = io.StringIO()
    draw = RawJson(Screen(out))
    for event in events:
        draw(event)
    draw.close()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_graph_is_told_first() -> None:
    (line,) = written(STARTED)
    first, second, third = line["vertexes"]
    assert [vertex["name"] for vertex in line["vertexes"]] == ["FROM base", "[2/3] RUN a", "RUN b"]
    assert "inputs" not in first
    assert (second["inputs"], third["inputs"]) == ([first["digest"]], [second["digest"]])
    assert written(STARTED) == [line], "digests are the same in every build"


def test_steps_begin_and_end() -> None:
    events = (
        VertexDone(0, "FROM base", CacheState.LOCAL, 0.0, 5.0),
        VertexStarted(2, "[2/3] RUN a", 6.25),
        VertexDone(2, "[2/3] RUN a", CacheState.DONE, 1.5, 7.75),
        VertexStarted(3, "RUN b", 8.0),
        VertexFailed(3, "RUN b", "exit code: 1", 1.0, time=9.0),
    )
    graph, *lines = written(STARTED, *events)
    names = {vertex["name"]: vertex["digest"] for vertex in graph["vertexes"]}
    base, begun, done, _, failed = [line["vertexes"][0] for line in lines]
    at = "1970-01-01T00:00:0"
    assert base == {
        "digest": names["FROM base"],
        "name": "FROM base",
        "started": f"{at}5.000000000Z",
        "completed": f"{at}5.000000000Z",
        "cached": True,
    }
    assert (begun["started"], "completed" in begun) == (f"{at}6.250000000Z", False)
    assert (done["started"], done["completed"]) == (f"{at}6.250000000Z", f"{at}7.750000000Z")
    assert "cached" not in done
    assert (failed["error"], failed["completed"]) == ("exit code: 1", f"{at}9.000000000Z")


def test_what_steps_print_is_in_base64() -> None:
    graph, line = written(STARTED, LogLine(2, "é\x1b[31m", 1.0))
    (log,) = line["logs"]
    assert base64.b64decode(log.pop("data")) == "é\x1b[31m\n".encode()
    assert log == {"vertex": graph["vertexes"][1]["digest"], "stream": 1, "timestamp": "1970-01-01T00:00:01.000000000Z"}


def test_a_step_that_was_stopped_is_told_in_buildkits_words() -> None:
    line = written(STARTED, VertexFailed(2, "a", "canceled", 1.0, canceled=True))[-1]
    assert line["vertexes"][0]["error"] == "context canceled"


def test_bytes_are_statuses_of_a_vertex() -> None:
    begun, first, last = written(
        Progress(Work.PULL, "abc", 0, 1000),
        *(Progress(Work.PULL, "abc", n, 1000) for n in range(1, 1000)),
        Progress(Work.PULL, "abc", 1000, 1000),
    )
    (vertex,) = begun["vertexes"]
    assert vertex["name"] == "[internal] pull"
    (status,) = first["statuses"]
    assert (status["id"], status["vertex"], status["current"], status["total"]) == (
        "pull abc",
        vertex["digest"],
        0,
        1000,
    )
    assert "completed" not in status
    assert last["statuses"][0]["current"] == 1000
    assert last["statuses"][0]["completed"]


def test_warnings_have_a_place() -> None:
    line = written(Warned("mind that", "dir/Buildfile:7"), Warned("and that"))
    (placed,), (other,) = (each["warnings"] for each in line[1:])
    assert base64.b64decode(placed["short"]) == b"mind that"
    assert placed["level"] == 1
    assert placed["sourceInfo"] == {"filename": "dir/Buildfile"}
    assert placed["range"] == [{"start": {"line": 7}, "end": {"line": 7}}]
    assert "range" not in other


def test_results_are_told_as_an_export_that_ends() -> None:
    lines = written(STARTED, Note("tagged x"), BuildDone("sha256:1", 1, 1, 1.0))
    begun, tagged, image, ended = lines[1:]
    assert begun["vertexes"][0]["name"] == ended["vertexes"][0]["name"] == "exporting to image"
    assert [line["statuses"][0]["id"] for line in (tagged, image)] == ["tagged x", "writing image sha256:1"]
    assert ended["vertexes"][0]["completed"]


def test_an_error_of_no_step_is_told_too() -> None:
    (line,) = written(BuildFailed("the Buildfile is empty", 0.1))
    assert line["vertexes"][0]["error"] == "the Buildfile is empty"
    assert written(STARTED, VertexFailed(2, "a", "it failed", 1.0), BuildFailed("it failed", 1.0))[2:] == []


def test_stages_that_are_skipped_are_not_told() -> None:
    assert written(StageSkipped(-1, "[docs] FROM base", "docs", 9)) == []
