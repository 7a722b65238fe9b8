"""`build --timings` and `--trace`: each phase is told of, nothing is counted twice, however the build ends."""

from __future__ import annotations

import json
import signal
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

from builder.spans import Phase
from tests.support.program import Pybuild
from tests.support.timings import understood
from tests.support.waiting import wait_for

# The second stage runs beside the first; the last RUN stands on both.
RECIPE = """FROM base AS one
COPY tree /tree
RUN echo "$SECRET" > /one && sleep 0.2
FROM base AS two
WORKDIR /two
RUN sleep 0.2
FROM one
COPY --from=two /two /two
RUN --mount=type=secret,id=key,env=KEY echo done > /done
"""
# What is in every build that runs something and writes an archive, but for what only servers and others make one wait.
EXPECTED = {
    *("start-up", "parse", "resolve", "scan", "look-up", "wait", "step", "launch", "set-up", "command", "copy"),
    *("tar", "sync", "record", "clear", "explain", "hand-over", "assemble", "export", "end"),
}
SHARES = {"diff", "hash", "compress", "write"}


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    for number in range(20):
        pybuild.file(f"tree/{number}", str(number) * 1000)
    return pybuild


def trace(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    return found


def spans(path: Path) -> list[dict[str, Any]]:
    """Its spans, with times in nanoseconds."""
    found = [event for event in trace(path) if event["ph"] == "X"]
    return [{**each, "ts": round(each["ts"] * 1000), "dur": round(each["dur"] * 1000)} for each in found]


def report(err: str) -> str:
    lines = err[err.index("where ") :].splitlines()
    ended = [at for at, line in enumerate(lines) if not line or line.startswith(("error:", "pybuild:", "WARNING:"))]
    return "\n".join(lines[: min(ended, default=None)])


def test_each_phase_of_a_build_is_in_its_trace_and_spans_lie_in_each_other(based: Pybuild) -> None:
    based.build(
        RECIPE, "--trace", "trace.json", "-o", "type=oci,dest=out.tar", "-t", "it", "--secret", "id=key,env=KEY",
        KEY="hush-hush",
    ).ok()  # fmt: skip
    found = spans(based.work / "trace.json")
    names = {event["name"] for event in found}
    steps = {event["args"]["step"] for event in found if "step" in event["args"]}
    assert names - steps >= EXPECTED - {"step"}
    assert any(event["name"] == "command" and event["dur"] >= 200_000_000 for event in found), "what slept that long"
    assert names - steps <= set(get_args(Phase))
    assert {name.removesuffix(" µs") for event in found for name in event["args"]} >= SHARES
    copied = [event for event in found if event["args"].get("step") == "[one 2/3] COPY tree /tree"]
    assert any(event["name"] == "copy" or "copy µs" in event["args"] for event in copied), (
        "its files are made somewhere"
    )
    _lie_in_each_other(found)
    _stand_on_each_other(found)
    text = (based.work / "trace.json").read_text()
    assert "hush-hush" not in text
    assert "[one 2/3] COPY tree /tree" in steps


def _lie_in_each_other(found: list[dict[str, Any]]) -> None:
    """In each thread a span is in another or beside it, as those who draw them need it."""
    threads: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for event in found:
        threads.setdefault((event["pid"], event["tid"]), []).append(event)
    for events in threads.values():
        around: list[int] = []
        for event in events:  # in order of their beginning, the longer first
            while around and around[-1] <= event["ts"]:
                around.pop()
            assert not around or event["ts"] + event["dur"] <= around[-1], event
            around.append(event["ts"] + event["dur"])


def _stand_on_each_other(found: list[dict[str, Any]]) -> None:
    """What a step does is done in its time, also in other processes; and it begins when its inputs have ended."""
    ran = {event["name"]: event for event in found if "state" in event["args"]}
    for event in found:
        of = ran.get(event["args"].get("step"))
        if of is not None and event["name"] not in ("look-up", "wait", "scan"):
            assert of["ts"] <= event["ts"], event
            assert event["ts"] + event["dur"] <= of["ts"] + of["dur"], event
    order = [ran[name] for name in ("[one 2/3] COPY tree /tree", '[one 3/3] RUN echo "$SECRET" > /one && sleep 0.2')]
    assert all(before["ts"] + before["dur"] <= after["ts"] for before, after in pairwise(order))


def test_the_report_tells_of_the_whole_and_of_each_step(based: Pybuild) -> None:
    built = based.build(RECIPE, "--timings", "-t", "it").ok()
    whole, steps = understood(report(built.err))
    assert {"start-up", "steps"} <= set(whole)
    assert "[two 3/3] RUN sleep 0.2" in steps
    assert "side by side: 2 steps for " in built.err
    assert "built sha256" in built.err[: built.err.index("where ")], "it comes after the build"
    assert built.out == ""


def test_what_is_cached_is_told_with_what_it_saves(based: Pybuild) -> None:
    based.build(RECIPE).ok()
    built = based.try_("build", "--timings", "-q", ".")
    whole, _ = understood(report(built.stderr))
    assert "cached: 6 steps that took" in built.stderr
    assert "launch" not in whole
    assert built.stdout.startswith("sha256:")


def test_a_build_that_fails_is_told_of(based: Pybuild) -> None:
    built = based.build("FROM base\nRUN exit 3\n", "--timings", "--trace", "trace.json")
    assert built.status == 1
    _, steps = understood(report(built.err))
    assert "failed; " in report(built.err)
    assert set(steps) == {"[2/2] RUN exit 3"}
    assert built.err.index("where ") < built.err.index("error:")
    (step,) = [event for event in spans(based.work / "trace.json") if "state" in event["args"]]
    assert step["args"]["state"] == "failed"
    assert "command" in {event["name"] for event in spans(based.work / "trace.json")}


def test_a_build_that_cannot_begin_is_told_of(pybuild: Pybuild) -> None:
    built = pybuild.build("FROM base\nRUM x\n", "--timings", "--trace", "trace.json")
    assert built.status == 3
    whole, steps = understood(report(built.err))
    assert ("parse" in whole, steps) == (True, {})
    assert {event["name"] for event in spans(pybuild.work / "trace.json")} >= {"parse", "end"}


def test_a_build_that_is_interrupted_is_told_of(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN echo be''gun && sleep 60\n")
    going = based.start("build", "--progress", "plain", "--timings", "--trace", "trace.json", ".")
    assert going.stderr is not None
    while b" begun" not in going.stderr.readline():
        pass
    going.send_signal(signal.SIGINT)
    _, err = going.communicate(timeout=60)
    assert going.returncode == 130
    _, steps = understood(report(err.decode()))
    assert set(steps) == {"[2/2] RUN echo be''gun && sleep 60"}
    assert {"end", "launch", "command"} <= {event["name"] for event in spans(based.work / "trace.json")}


def test_images_for_several_platforms_are_told_of_together(based: Pybuild) -> None:
    text = "FROM scratch\nCOPY tree /tree\n"
    built = based.build(text, "--platform", "linux/amd64,linux/arm64", "--timings", "-t", "it").ok()
    _, steps = understood(report(built.err))
    assert len(steps) >= 1


@pytest.mark.parametrize("progress", ["plain", "quiet", "tty"])
def test_the_report_is_the_same_however_work_is_shown(pybuild: Pybuild, progress: str) -> None:
    pybuild.file("Buildfile", "FROM scratch\nWORKDIR /a\n")
    done = pybuild.try_("build", "--progress", progress, "--timings", ".")
    assert done.returncode == 0
    assert "[2/2] WORKDIR /a" in understood(report(done.stderr))[1]


def test_what_a_step_waits_for_another_build_is_told(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN sleep 1\n")
    first = based.start("build", "-q", ".")
    wait_for(lambda: any((based.root / "locks").glob("key-*")))
    time.sleep(0.1)
    second = based.build("FROM base\nRUN sleep 1\n", "--trace", "trace.json").ok()
    assert first.wait() == 0
    first.communicate()
    assert set(second.cached) == {"RUN sleep 1"}
    assert max(event["dur"] for event in spans(based.work / "trace.json") if event["name"] == "wait") > 100_000_000


@pytest.mark.parametrize("place", ["missing/trace.json", ".", "/proc/trace.json"])
def test_a_file_that_cannot_be_written_is_refused_before_the_build(pybuild: Pybuild, place: str) -> None:
    built = pybuild.build("FROM scratch\nWORKDIR /a\n", "--trace", place)
    assert (built.status, f"--trace {place}: " in built.err, built.ran) == (2, True, [])


def test_the_trace_goes_through_links_and_into_devices(pybuild: Pybuild) -> None:
    (pybuild.work / "link").symlink_to("real")
    pybuild.file("real", "before")
    pybuild.build("FROM scratch\n", "--trace", "link").ok()
    assert (pybuild.work / "link").is_symlink()
    assert spans(pybuild.work / "real")
    pybuild.build("FROM scratch\n", "--trace", "/dev/null").ok()
    assert not [path for path in pybuild.work.iterdir() if path.name.endswith(".tmp")]


def test_a_disk_that_is_full_at_the_end_is_told(based: Pybuild) -> None:
    built = based.build("FROM base\n", "--trace", "/dev/full")
    assert (built.status, "--trace /dev/full: No space left" in built.err) == (1, True)
    failed = based.build("FROM base\nRUN exit 3\n", "--trace", "/dev/full")
    assert failed.status == 1
    assert "WARNING: --trace /dev/full: No space left" in failed.err
    assert "exit code: 3" in failed.err or "did not complete" in failed.err


def test_commands_that_build_more_than_once_are_not_timed(pybuild: Pybuild) -> None:
    pybuild.file("Buildfile", "FROM scratch\n")
    done = pybuild.try_("verify-reproducible", "--timings", ".")
    assert (done.returncode, "are of one build, which they follow" in done.stderr) == (2, True)


def test_a_build_that_is_known_is_timed_all_the_same(pybuild: Pybuild) -> None:
    for _ in range(3):
        assert "where " in pybuild.build("FROM scratch\nWORKDIR /a\n", "--timings").ok().err
