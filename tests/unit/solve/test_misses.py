"""Which earlier record a step that missed is compared with."""

from __future__ import annotations

import json
from typing import Any

from builder.digest import Digest
from builder.graph.vertex import Origin
from builder.solve.misses import nearest, text_of
from builder.store.records import CacheRecord

ORIGIN = Origin("[build 3/4] RUN make", "build", 5)


def image(**fields: Any) -> bytes:
    return json.dumps({"op": "run", "parent": "p", "argv": ["make"], "env": [], **fields}).encode()


def record(name: str, line: int, used: float = 1.0, stage: str = "build", **fields: Any) -> CacheRecord:
    data = image(**fields)
    return CacheRecord(Digest.of(data), data, Digest.of(b""), used, used, 0, 0.1, name, stage, line, "Buildfile")


def chosen(*candidates: CacheRecord, taken: set[str] | None = None) -> CacheRecord | None:
    found = nearest(image(), ORIGIN, candidates, taken or set())
    assert found == nearest(image(), ORIGIN, reversed(candidates), taken or set())
    return found


def test_text_counts_more_than_line_and_line_more_than_fields_and_those_more_than_use() -> None:
    text = record("[build 2/9] RUN make", 9, env=[["a", "b"]])
    line = record("[build 3/4] RUN make all", 5, 7.0)
    assert chosen(text, line) == text
    here = record("[build 3/4] RUN make", 5, env=[["a", "b"]], parent="q")
    assert chosen(text, here) == here
    like = record("[build 3/4] RUN make", 5, env=[["a", "b"]])
    assert chosen(here, like, text) == like
    later = record("[build 3/4] RUN make", 5, 2.0, env=[["a", "c"]])
    assert chosen(like, later) == later
    elsewhere = record("[x 3/4] RUN make", 5, 9.0, stage="x")
    assert chosen(elsewhere, later) == later
    assert chosen(elsewhere) == elsewhere


def test_another_step_is_no_past() -> None:
    other = record("[build 3/4] RUN test", 5)
    assert chosen(other) == other
    assert chosen(other, taken={"RUN test"}) is None
    assert chosen(record("[build 3/4] COPY a b", 5, op="copy")) is None
    moved = record("[build 3/4] RUN mak", 7)
    assert chosen(moved) == moved
    assert chosen(record("[build 3/4] RUN mak", 7, parent="q")) is None
    broken = CacheRecord(Digest.of(b""), b"{", Digest.of(b""), 1, 1, 0, 1, ORIGIN.name, "build", 5, "Buildfile")
    assert chosen(broken) is None


def test_the_text_of_a_step_is_its_name_without_numbers() -> None:
    assert text_of("[build 2/4] RUN [ -e x ] && y") == "RUN [ -e x ] && y"
    assert text_of("fetch https://x/a] b") == "fetch https://x/a] b"
