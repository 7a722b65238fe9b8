"""The journal of builds, and logs that stay small."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from builder.events import CacheState, Event, LogLine, StageSkipped, VertexDone, VertexFailed, VertexStarted
from builder.graph.vertex import Origin, Run, VertexId, Workdir
from builder.image.platform import Platform
from builder.solve.journal import KEPT, Earlier, Facts, Journal, Miss, Step, builds, ended, facts
from builder.solve.log import END, HEAD, StepLog

VERTICES = [Workdir(parent=None, path="/", origin=Origin(f"step {n}", "stage", n + 1)) for n in range(3)]  # type: ignore[arg-type]


def journal(root: Path, seen: list[Event]) -> Journal:
    (root / "logs").mkdir(exist_ok=True)
    return Journal(root, "Buildfile", VERTICES, seen.append)


def test_steps_are_numbered_as_they_are_heard_of(tmp_path: Path) -> None:
    seen: list[Event] = []
    book = journal(tmp_path, seen)
    events: list[Event] = [
        VertexDone(2, "step 2", CacheState.LOCAL, 0.0),
        VertexStarted(0, "step 0", 1.0),
        LogLine(0, "text", 1.0),
        VertexStarted(1, "step 1", 1.0),
        VertexFailed(0, "step 0", "exit code: 1", 2.0),
        VertexFailed(1, "step 1", "canceled", 2.0, canceled=True),
        StageSkipped(-1, "[docs] FROM x", "docs", 9),
    ]
    for event in events:
        book(event)
    assert seen == events
    (build,) = builds(tmp_path)
    assert (build.id, build.buildfile) == (book.build, "Buildfile")
    assert build.steps == (
        Step(1, "step 2", "stage", 3, "cached"),
        Step(2, "step 0", "stage", 1, "failed", 2.0),
        Step(3, "step 1", "stage", 2, "canceled", 2.0),
        Step(4, "[docs] FROM x", "docs", 9, "skipped"),
    )
    assert book.log(0).name == f"{book.build}-2.log"


def test_what_steps_were_looked_up_by_is_kept(tmp_path: Path) -> None:
    vertices = [
        Workdir(VertexId(0), "/", origin=Origin("base")),
        Workdir(VertexId(0), "/a", origin=Origin("a")),
        Run(
            VertexId(1), ("x",), (), "/", "", "none", Platform("linux", "amd64"), arguments=("A",), origin=Origin("run")
        ),
    ]
    (tmp_path / "logs").mkdir()
    book = Journal(tmp_path, "Buildfile", vertices, lambda _: None)
    for vertex in range(3):
        book.known(vertex, f"key {vertex}")
    assert book.inputs(2) == ("key 1",)
    miss = Miss("absent", "{}", Earlier("old", "{}", 1.0, "run", 3, "Buildfile", inputs=("", "x")), 2.0, "gc")
    book(VertexDone(1, "a", CacheState.LOCAL, 0.0))
    book(VertexDone(0, "base", CacheState.LOCAL, 0.0))
    assert ended(tmp_path, book.build) is None
    book.end()
    assert facts(tmp_path, book.build) == {}
    book.missed(2, miss)
    book(VertexStarted(2, "run", 1.0))
    book.made(2, "content")
    assert ended(tmp_path, book.build) == (tmp_path / "logs" / f"{book.build}.jsonl").stat().st_mtime
    book.end()
    assert b"ended" in (tmp_path / "logs" / f"{book.build}.jsonl").read_bytes().splitlines()[-1]
    assert facts(tmp_path, book.build) == {
        1: Facts(1, "key 1", (0,)),
        2: Facts(2, "key 0", (2,)),
        3: Facts(3, "key 2", (1,), ("A",), miss, "content"),
    }
    assert [step.name for step in builds(tmp_path)[0].steps] == ["a", "base", "run"]
    assert abs((ended(tmp_path, book.build) or 0) - time.time()) < 60


def test_a_build_that_runs_nothing_has_none(tmp_path: Path) -> None:
    journal(tmp_path, [])(VertexDone(0, "step 0", CacheState.LOCAL, 0.0))
    assert builds(tmp_path) == []


def test_what_a_killed_process_has_left_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    book = journal(tmp_path, [])
    book(VertexStarted(0, "step 0", 1.0))
    path = tmp_path / "logs" / f"{book.build}.jsonl"
    path.write_bytes(path.read_bytes() + b'{"number":2,"na')
    (tmp_path / "logs" / "0.jsonl").write_bytes(b'{"id":"tor')
    (tmp_path / "logs" / "1.jsonl").write_bytes(b"")
    (build,) = builds(tmp_path)
    assert build.steps == (Step(1, "step 0", "stage", 1),)


def test_newer_builds_come_first(tmp_path: Path) -> None:
    for millisecond in (5, 3, 4):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time_ns", lambda at=millisecond: at << 20)
            journal(tmp_path, [])(VertexStarted(0, "step 0", 1.0))
    assert [int(build.id[:11], 16) for build in builds(tmp_path)] == [5, 4, 3]


def test_old_files_make_room(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for number in range(KEPT + 50):
        (tmp_path / "logs" / f"0{number:06}-1.log").touch()
    book = journal(tmp_path, [])
    book(VertexStarted(0, "step 0", 1.0))
    with StepLog(book.log(0), 0, lambda _: None) as log:
        log.write(b"x\n")
    names = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert len(names) <= KEPT + 2
    assert names[-2:] == [f"{book.build}-1.log", f"{book.build}.jsonl"]
    assert "0000000-1.log" not in names


def test_a_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    lines: list[Event] = []
    path = tmp_path / "log"
    block = b"".join(b"%07d\n" % n for n in range(8192))
    with StepLog(path, 0, lines.append) as log:
        for _ in range(400):
            log.write(block)
        log.write(b"no newline")
    kept = path.read_bytes()
    cut = 400 * len(block) + len(b"no newline") - HEAD - END
    note = b"\n[pybuild: %d bytes are left out here]\n" % cut
    assert len(kept) == HEAD + END + len(note)
    assert kept.startswith(block)
    assert kept[HEAD : HEAD + len(note)] == note
    assert kept.endswith(b"0008191\nno newline")
    assert isinstance(lines[-1], LogLine)
    assert lines[-1].text == "no newline"


def test_a_log_that_fits_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with StepLog(path, 0, lambda _: None) as log:
        log.write(b"a" * (HEAD - 1))
        log.write(b"b" * (END + 1))
    assert path.read_bytes() == b"a" * (HEAD - 1) + b"b" * (END + 1)


def test_notes_stand_on_lines_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with StepLog(path, 0, lambda _: None) as log:
        log.write(b"half")
        log.note("told")
        log.write(b"more\n")
    assert path.read_bytes() == b"half\npybuild: told\nmore\n"
