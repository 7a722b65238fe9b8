"""Pruning: what is asked for goes, nothing that is needed does, and figures are true."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Pybuild
from tests.support.waiting import wait_for

TEXT = """FROM base AS build
RUN head -c 3000000 /dev/urandom > /big
FROM base AS last
RUN echo small > /small
"""
BIG, SMALL = "RUN head -c 3000000 /dev/urandom > /big", "RUN echo small > /small"


@pytest.fixture
def built(pybuild: Pybuild) -> Pybuild:
    """A store with an image `app` that has the small step, and the big step that only the cache has."""
    pybuild.base()
    pybuild.build(TEXT, "--target", "build", "-t", "gone").ok()
    pybuild("rmi", "gone")
    pybuild.build(TEXT, "-t", "app").ok()
    return pybuild


def pruned(pybuild: Pybuild, *options: str) -> tuple[list[str], int]:
    """The steps that were pruned, and the bytes."""
    found: dict[str, Any] = json.loads(pybuild("cache", "prune", "-f", "--format", "json", *options))
    return [entry["step"].split("] ")[1] for entry in found["entries"]], found["freed"]


def taken(path: Path) -> int:
    """du's figure, of files and directories."""
    found = [path, *path.rglob("*")]
    return sum({(s.st_dev, s.st_ino): s.st_blocks * 512 for s in map(os.lstat, found)}.values())


def test_prune_takes_what_no_image_has_and_says_how_much(built: Pybuild) -> None:
    assert pruned(built, "--dry-run")[0] == [BIG]
    assert "Total reclaimable space: 6" in built("cache", "prune", "--dry-run")
    asked = built("cache", "prune", input=b"n\n")
    assert "[y/N] Total reclaimed space: 0B" in asked
    before = taken(built.root)
    steps, freed = pruned(built)
    assert steps == [BIG]
    assert 6_000_000 < freed < 6_100_000
    assert abs(before - taken(built.root) - freed) < 100_000  # the database is another
    assert pruned(built) == ([], 0)
    assert built.shell("app", "cat /small") == "small\n"
    again = built.build(TEXT, "-t", "app").ok()
    assert again.ran == []
    assert built.build(TEXT, "--target", "build").ok().ran == [BIG]


def test_filters_choose(built: Pybuild) -> None:
    key = json.loads(built("cache", "prune", "--dry-run", "--format", "json"))["entries"][0]["id"]
    for options, steps in (
        (("--filter", "until=1h"), []),
        (("--filter", "unused-for=0s"), [BIG]),
        (("--filter", "stage=last"), []),
        (("--filter", "stage=build", "--filter", "type=regular"), [BIG]),
        (("--filter", "stage!=build"), []),
        (("--filter", "type=source.git.checkout"), []),
        (("--filter", f"id={key[:12]}"), [BIG]),
        (("--filter", f"id=sha256:{key}"), [BIG]),
        (("--keep-bytes", "1G"), []),
        (("--keep-bytes", "1m"), [BIG]),
        (("--all",), [SMALL, BIG]),
        (("--all", "--filter", "stage=last"), [SMALL]),
    ):
        assert pruned(built, "--dry-run", *options)[0] == steps, options
    for words, said in (
        (("--filter", "age=3"), "use until="),
        (("--filter", "until=soon"), "24h"),
        (("--filter", "type=tar"), "use regular"),
        (("--keep-bytes", "much"), "no size"),
    ):
        done = built.try_("cache", "prune", "-f", *words)
        assert done.returncode == 2
        assert said in done.stderr


def test_prune_all_forgets_steps_but_not_images(built: Pybuild) -> None:
    assert pruned(built, "-a")[0] == [SMALL, BIG]
    assert built.shell("app", "cat /small") == "small\n"
    assert built.build(TEXT, "-t", "app").ok().ran == [SMALL]


def test_what_a_running_build_and_a_container_need_stays(built: Pybuild) -> None:
    built("run", "--name", "kept", "app", "true")
    built("rmi", "-f", "app")
    text = f"FROM base AS build\n{BIG}\nRUN touch /begun && sleep 3\n"
    built.file("Slow", text)
    building = built.start("build", "-f", "Slow", "-t", "slow", ".")
    wait_for(lambda: list((built.root / "tmp").glob("active-*/upper/begun")))
    assert pruned(built, "-a")[0] == [SMALL]  # the big step was just found by the build
    assert "untagged: base:latest\n" in built("image", "prune", "-a", "-f")  # it keeps what it began with
    assert building.wait(60) == 0, building.communicate()
    building.communicate()
    assert int(built.shell("slow", "wc -c < /big")) == 3_000_000
    assert built("start", "-a", "kept") == ""


def test_cache_mounts_go_only_when_they_are_meant(built: Pybuild) -> None:
    built.build("FROM base\nRUN --mount=type=cache,id=c,target=/c head -c 100000 /dev/urandom > /c/x\n", "-t", "m").ok()
    assert pruned(built)[0] == [BIG]
    done = json.loads(
        built("cache", "prune", "-f", "--filter", "type=exec.cachemount", "--format", "json", "--dry-run")
    )
    assert [entry["step"] for entry in done["entries"]] == ["cache mount c"]
    assert 100_000 < done["freed"] < 150_000
    built("system", "prune", "-f")
    assert built("cache", "mount", "ls", "-q") != ""
    assert "all cache mounts" in built("system", "prune", "--volumes", input=b"y\n")
    assert built("cache", "mount", "ls", "-q") == ""


def test_system_prune_leaves_what_is_named_or_runs(built: Pybuild) -> None:
    built("run", "--name", "ended", "app", "true")
    built("run", "-d", "--name", "going", "app", "sleep", "60")
    try:
        built.build(f"FROM base\n{BIG}\nRUN echo other > /other\n", "-q").ok()
        before = taken(built.root)
        done = built("system", "prune", "-f")
        assert "Deleted Containers:\n" in done
        assert "Deleted Images:\ndeleted: sha256:" in done
        assert "Deleted build cache objects:\n" in done
        said = done.splitlines()[-1]
        assert said.startswith("Total reclaimed space: ")
        assert before - taken(built.root) > 6_000_000
        assert [row.split()[0] for row in built("images").splitlines()[1:]] == ["app", "base"]
        assert built("ps", "-a", "-q").split() == [built("ps", "-q").strip()]
        assert json.loads(built("system", "df", "--format", "json"))[1]["active"] == 1
    finally:
        built("rm", "-f", "going")
    assert "Deleted Images:\nuntagged: app" in built("system", "prune", "-a", "-f")
    assert built("images", "-q") == ""
    assert taken(built.root) < 1_500_000


def test_df_tells_what_there_is(built: Pybuild) -> None:
    built("run", "--name", "one", "app", "sh", "-c", "head -c 500000 /dev/urandom > /file")
    built.build("FROM base\nRUN --mount=type=cache,target=/c head -c 100000 /dev/urandom > /c/x\n", "-t", "m").ok()
    kinds = {row["type"]: row for row in json.loads(built("system", "df", "--format", "json"))}
    assert [kinds[k]["total"] for k in kinds] == [3, 1, 3, 1, 0]
    assert kinds["Images"]["active"] == 1
    assert 500_000 < kinds["Containers"]["size"] < 600_000
    assert 100_000 < kinds["Cache Mounts"]["size"] < 150_000
    assert 6_000_000 < kinds["Build Cache"]["reclaimable"] < 6_100_000
    table = built("system", "df").splitlines()
    assert table[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert table[3].startswith("Build Cache    3       0        6.0")
    verbose = built("system", "df", "-v")
    for heading in (
        "Images space usage:",
        "Containers space usage:",
        "Build cache usage: 6.0",
        "UNIQUE SIZE",
        "SHARED",
    ):
        assert heading in verbose


def test_an_empty_store_has_nothing_to_prune(pybuild: Pybuild) -> None:
    for words in (("cache",), ("image",), ("container",), ("system",)):
        assert pybuild(*words, "prune", "-f") == "Total reclaimed space: 0B\n"
    assert "Images         0       0        0B     0B" in pybuild("system", "df")
    assert "RECLAIMABLE" not in pybuild("cache", "prune", "--dry-run")


# --- the cap ---------------------------------------------------------------------------------------


def capped(pybuild: Pybuild, **settings: object) -> Pybuild:
    """The program under settings of its user's own."""
    text = "".join(f"{name.replace('_', '-')} = {json.dumps(value)}\n" for name, value in settings.items())
    pybuild.file("config/pybuild/config.toml", f"[gc]\n{text}")
    pybuild.env["XDG_CONFIG_HOME"] = str(pybuild.work / "config")
    return pybuild


def step(number: int, before: str = "true") -> str:
    return f"RUN {before}; head -c 1000000 /dev/urandom > /file-{number}"


def age(pybuild: Pybuild, days: float) -> None:
    """Make the cached steps older; those that cost little cost the same, on a busy machine too."""
    with sqlite3.connect(pybuild.root / "pybuild.db") as db:
        db.execute("UPDATE records SET last_used = last_used - ?", (days * 86400,))
        db.execute("UPDATE records SET seconds = 0.1 WHERE name NOT LIKE '%sleep%'")


def test_the_cap_lets_go_what_is_worth_least(pybuild: Pybuild) -> None:
    capped(pybuild, keep_bytes="7MB", keep_untagged="0s")
    pybuild.base()
    dear = step(0, "sleep 2")
    for text in (dear, step(1), step(2)):  # two million bytes each, as a blob and unpacked
        pybuild.build(f"FROM base\n{text}\n").ok()
        age(pybuild, 1)
    pybuild.build(f"FROM base\n{step(3)}\n", "-t", "kept").ok()
    pybuild("rmi", "kept")
    pybuild.build(f"FROM base\n{step(4)}\n", "-t", "app").ok()  # its image has it: no part of the cap
    left = json.loads(pybuild("cache", "ls", "--format", "json"))
    assert {row["step"].partition("] ")[2] for row in left} == {dear, step(2), step(3), step(4)}
    again = pybuild.build(f"FROM base\n{step(1)}\n").ok()
    assert again.ran == [step(1)]
    assert pybuild.build(f"FROM base\n{dear}\n").ok().ran == []


def test_what_is_idle_goes_and_without_the_cap_nothing(pybuild: Pybuild) -> None:
    pybuild.base()
    capped(pybuild, enabled=False, keep_bytes=0, keep_untagged="0s")
    pybuild.build(f"FROM base\n{step(0)}\n").ok()
    assert len(json.loads(pybuild("cache", "ls", "--format", "json"))) == 1
    age(pybuild, 3)
    capped(pybuild, keep_duration="2d", keep_untagged="0s")
    pybuild("image", "prune", "-f")
    pybuild.build(f"FROM base\n{step(1)}\n").ok()
    left = json.loads(pybuild("cache", "ls", "--format", "json"))
    assert [row["step"].partition("] ")[2] for row in left] == [step(1)]


def test_settings_that_are_wrong_are_told_before_anything_runs(pybuild: Pybuild) -> None:
    pybuild.base()
    text = "FROM base\nRUN true\n"
    pybuild.build(text).ok()
    capped(pybuild, keep_byte="7MB")
    assert pybuild.build(text).ok().ran == []  # what is cached asks nobody
    failed = pybuild.build("FROM base\nRUN false\n")
    assert failed.status == 2
    assert "config.toml:2:1" in failed.err
    assert "did you mean gc.keep-bytes?" in failed.err
    assert "RUN false" not in failed.err.replace("[2/2] RUN false", "", 1)
