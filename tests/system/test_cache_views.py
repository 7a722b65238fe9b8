"""`cache ls`, `cache show`, `cache du`: what is kept, what it is made of, what it takes."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from tests.support.program import Pybuild

TEXT = """FROM base AS build
COPY src /src
ARG API_TOKEN=hunter2
ENV COLOR=red
RUN cat /src/* > /all && ln /all /twice && ln -s all /link
FROM base
COPY --from=build /all /all
"""


@pytest.fixture
def built(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    pybuild.file("src/a", "a" * 5000)
    pybuild.file(os.fsdecode(b"src/\xff"), "b", 0o600)
    pybuild.build(TEXT, "-t", "app", "-t", "other").ok()
    return pybuild


def listed(pybuild: Pybuild, *arguments: str) -> dict[str, dict[str, Any]]:
    rows = json.loads(pybuild("cache", "ls", "--format", "json", *arguments))
    return {row["place"]: row for row in rows}


def test_a_step_is_shown_with_all_that_its_key_is_made_of(built: Pybuild) -> None:
    key = listed(built)["Buildfile:5"]["key"]
    text = built("cache", "show", key[:12])
    for line in (
        "step          [build 3/3] RUN cat",
        "place         Buildfile:5, stage build",
        "  env           COLOR=red",
    ):
        assert line in text
    assert "  env           API_TOKEN=(withheld)" in text
    assert "[build 2/3] COPY src /src" in text
    shown = json.loads(built("cache", "show", "--json", "--files", f"sha256:{key}"))
    assert "hunter2" not in text + json.dumps(shown)
    assert shown["inputs"][0]["digest"] == listed(built)["Buildfile:2"]["key"]
    files = {f["path"]: f for f in shown["files"]}
    assert (files["all"]["size"], files["link"]["link"], files["twice"]["kind"]) == (5001, "all", "hardlink")
    assert shown["taken"] == []
    blob = shown["blob"].removeprefix("sha256:")
    assert (built.root / "blobs" / "sha256" / blob).stat().st_size == shown["blob_size"]


def test_the_files_of_a_key_and_of_a_layer_are_listed(built: Pybuild) -> None:
    shown = json.loads(built("cache", "show", "Buildfile:2", "--files", "--format", "json"))
    assert {f["path"].rpartition("/")[2]: f["mode"] for f in shown["taken"] if f["kind"] == "file"} == {
        "a": "644",
        "\\xff": "600",
    }
    assert Digest.of(b"b").hex in {f["content"] for f in shown["taken"]}
    assert {"src", "src/a", "src/\\xff"} <= {f["path"] for f in shown["files"]}
    assert shown["inputs"][0]["known"]
    assert shown["inputs"][0]["name"] == "base"
    text = built("cache", "show", "--files", "Buildfile:2")
    assert "\\xff" in text
    assert "5000" in text
    built("rmi", "base", "-f")
    assert "(no longer here)" in built("cache", "show", "Buildfile:2")


def test_a_key_must_be_one_that_is_there(built: Pybuild) -> None:
    assert built.try_("cache", "show", "ffffffffffff").returncode == 4
    assert built.try_("cache", "show", "Buildfile:99").returncode == 4
    assert built.try_("cache", "show", "nonsense").returncode == 2
    key = next(iter(listed(built).values()))["key"]
    connection = sqlite3.connect(built.root / "pybuild.db")
    connection.execute(
        "INSERT INTO records SELECT ?, preimage, diff_id, created, last_used, hits, seconds, name, stage, line,"
        " buildfile, inputs FROM records WHERE key = ?",
        (f"{key[:12]}{'0' * 52}", key),
    )
    connection.execute("UPDATE records SET preimage = x'ff'")
    connection.execute("DELETE FROM layers")
    connection.commit()
    connection.close()
    assert built.try_("cache", "show", key[:12]).returncode == 2
    assert "blob          missing" in built("cache", "show", key, "--files")


def measured(root: Path) -> int:
    return int(subprocess.run(["du", "-sB1", root], capture_output=True, text=True, check=True).stdout.split()[0])


def test_what_the_store_takes_is_what_du_says(built: Pybuild) -> None:
    built.build(TEXT.replace("cat /src/*", "cat /src/a /src/*")).ok()
    os.link(next((built.root / "logs").iterdir()), built.root / "logs" / "again")
    # As long as somebody has it open, SQLite's log and its index stay: both look at the same files.
    connection = sqlite3.connect(built.root / "pybuild.db")
    connection.execute("SELECT count(*) FROM records").fetchone()
    built("cache", "du")
    rows = json.loads(built("cache", "du", "--format", "json"))
    assert sum(row["bytes"] for row in rows) == measured(built.root)
    connection.close()
    assert all(row["shared"] + row["unique"] == row["bytes"] for row in rows)
    kinds = {row["kind"]: row for row in rows}
    assert kinds["blobs"]["count"] == len(list((built.root / "blobs" / "sha256").iterdir()))
    assert kinds["unpacked layers"]["shared"] > 0
    assert kinds["step logs"]["shared"] == 0


def test_layers_are_told_with_who_has_them(built: Pybuild) -> None:
    found = json.loads(built("cache", "du", "-v", "--format", "json"))
    by_steps = {tuple(layer["steps"]): layer for layer in found["layers"]}
    assert by_steps["Buildfile:7",]["images"] == ["app:latest"]
    assert by_steps["Buildfile:5",]["images"] == []
    assert sorted(by_steps[()]["images"]) == ["app:latest", "base:latest"]
    snapshot = built.root / "snapshots" / by_steps["Buildfile:7",]["diff_id"]
    assert by_steps["Buildfile:7",]["unpacked"] == measured(snapshot)
    shared = {row["kind"]: row["shared"] for row in found["kinds"]}
    several = [layer for layer in found["layers"] if len(layer["images"]) + len(layer["steps"]) > 1]
    assert shared["unpacked layers"] == sum(layer["unpacked"] for layer in several)
    assert shared["blobs"] == sum(layer["blob"] for layer in several)
    text = built("cache", "du", "-v")
    assert "KIND" in text
    assert "app:latest" in text


def test_steps_are_listed_by_place_and_chosen_by_filters(built: Pybuild) -> None:
    built.build(TEXT).ok()
    rows = listed(built)
    assert list(rows) == ["Buildfile:2", "Buildfile:5", "Buildfile:7"]
    assert [row["stage"] for row in rows.values()] == ["build", "build", "stage-1"]
    assert {row["hits"] for row in rows.values()} == {1}
    assert rows["Buildfile:2"]["size"] > 5000
    head, first, *_ = built("cache", "ls").splitlines()
    assert head.split("  ")[0] == "KEY"
    assert [word for word in head.split() if word in ("STAGE", "SIZE", "AGE", "HITS", "COST")] == [
        *("STAGE", "SIZE", "AGE", "HITS", "COST")
    ]
    key = rows["Buildfile:2"]["key"]
    assert first.startswith(f"{key[:12]}   Buildfile:2   build ")
    assert key in built("cache", "ls", "--no-trunc")
    assert list(listed(built, "--filter", "stage=build")) == ["Buildfile:2", "Buildfile:5"]
    assert list(listed(built, "--filter", "stage!=build", "--filter", "type=regular")) == ["Buildfile:7"]
    assert list(listed(built, "--filter", f"id={key[:20]}")) == ["Buildfile:2"]
    assert list(listed(built, "--filter", "unused-for=1h")) == []
    assert built("cache", "ls", "-q", "--filter", "stage=build").split()[0] == key[:12]
    assert built.try_("cache", "ls", "--filter", "nonsense=1").returncode == 2
