"""`plan`: what a build would do, and that it does nothing itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Pybuild

TEXT = """FROM base AS build
COPY src /src
RUN cat /src/* > /all
FROM base AS docs
RUN echo no
FROM base
COPY conf /conf
COPY --from=build /all /all
RUN cat /conf > /used
"""


@pytest.fixture
def project(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    pybuild.file("src/a", "a")
    pybuild.file("conf", "c")
    pybuild.file("Buildfile", TEXT)
    return pybuild


def planned(pybuild: Pybuild, *arguments: str) -> dict[str, dict[str, Any]]:
    steps = json.loads(pybuild("plan", "--json", *arguments, "."))["steps"]
    return {step["place"]: step for step in steps}


def fates(pybuild: Pybuild, *arguments: str) -> dict[int, str]:
    return {int(place.partition(":")[2]): s["fate"] for place, s in planned(pybuild, *arguments).items()}


ALL_CACHED = {1: "cached", 2: "cached", 3: "cached", 4: "skipped", 6: "cached", 7: "cached", 8: "cached", 9: "cached"}


def test_before_and_after_a_build(project: Pybuild) -> None:
    assert project.try_("plan", "--exit-code", ".").returncode == 10
    first = planned(project)
    assert (first["Buildfile:2"]["fate"], first["Buildfile:2"]["reason"]) == ("run", "never-built")
    assert first["Buildfile:3"]["needs"] == ["[build 2/3] COPY src /src"]
    assert first["Buildfile:9"]["needs"] == ["[stage-2 2/4] COPY conf /conf", "[build 2/3] COPY src /src"]
    text = project("plan", ".")
    assert "Buildfile:4  [docs] FROM base AS docs\n    not needed\n" in text
    assert text.endswith("Plan: 2 cached, 2 to run, 3 that depend on what runs.\n")
    project.build(TEXT).ok()
    assert fates(project) == ALL_CACHED
    assert project.try_("plan", "--exit-code", ".").returncode == 0
    assert project("plan", ".").endswith("Plan: 7 cached, 0 to run, 0 that depend on what runs.\n")


def test_an_edit_is_followed_as_a_build_would(project: Pybuild) -> None:
    project.build(TEXT).ok()
    project.file("conf", "changed")
    assert fates(project) == ALL_CACHED | {7: "run", 8: "depends", 9: "depends"}
    assert "Buildfile:7  [stage-2 2/4] COPY conf /conf\n    will run: conf: content changed\n" in project("plan", ".")
    assert planned(project)["Buildfile:7"]["difference"]["change"] == "content"
    assert fates(project, "--target", "build") == {1: "cached", 2: "cached", 3: "cached", 4: "skipped", 6: "skipped"}
    assert project.try_("plan", "--exit-code").returncode == 10
    assert project.build(TEXT).ok().ran == ["COPY conf /conf", "COPY --from=build /all /all", "RUN cat /conf > /used"]


def test_what_is_told_to_run_would(project: Pybuild) -> None:
    project.build(TEXT).ok()
    assert fates(project, "--no-cache") == ALL_CACHED | dict.fromkeys((2, 3, 7, 8, 9), "run")
    once = planned(project, "--no-cache-step", "3")
    assert (once["Buildfile:3"]["fate"], once["Buildfile:3"]["reason"]) == ("run", "no-cache")
    assert once["Buildfile:8"]["fate"] == "depends"
    other = TEXT.replace("FROM base\nCOPY conf", "FROM base\nENV A_TOKEN=x\nCOPY conf").replace(
        "cat /conf", "sort /conf"
    )
    project.file("Buildfile", other)
    step = planned(project)["Buildfile:10"]
    assert (step["reason"], step["difference"]["after"]) == ("inputs", "sort /conf > /used")
    project("cache", "prune", "--all", "--force")
    assert planned(project)["Buildfile:2"]["reason"] == "evicted"
    assert "will run: --no-cache or its like" in project("plan", "--no-cache", "-f", "Buildfile", "-t", "x", ".")


def state(root: Path) -> dict[str, tuple[int, int]]:
    """What is in the store, but for what is only remembered, and what is there while somebody has it open."""
    found = {}
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            if not path.name.startswith("pybuild.db") and path.parent.name not in ("locks", "tmp"):
                found[str(path)] = (path.lstat().st_size, path.lstat().st_mtime_ns)
    return found


def test_it_leaves_nothing_and_needs_nothing_that_runs(project: Pybuild) -> None:
    project.build(TEXT).ok()
    project.file("src/a", "b")
    before, listed = state(project.root), project("cache", "ls", "-q")
    used = {r["key"]: r["last_used"] for r in json.loads(project("cache", "ls", "--format", "json"))}
    project("plan", "--no-cache", "-t", "app", "-o", "type=oci,dest=out.tar", ".")
    project("plan", ".")
    assert (state(project.root), project("cache", "ls", "-q")) == (before, listed)
    assert {r["key"]: r["last_used"] for r in json.loads(project("cache", "ls", "--format", "json"))} == used
    assert not (project.work / "out.tar").exists()
    assert project.try_("inspect", "app").returncode == 4


def test_what_stops_a_build_stops_a_plan(project: Pybuild) -> None:
    project.file("Buildfile", "FROM base\nCOPY missing /\n")
    done = project.try_("plan", ".")
    assert done.returncode == 4
    assert "Buildfile:2" in done.stderr
    project.file("Buildfile", "FROM base\nRUN --network=host true\n")
    assert project.try_("plan", ".").returncode == 3
    assert project.try_("plan", "--allow", "network.host", "--exit-code", ".").returncode == 10
    assert project.try_("plan", "--check", ".").returncode == 2
    assert project.try_("plan", "--nonsense", ".").returncode == 2
    assert project.try_("plan", "nowhere").returncode == 4
