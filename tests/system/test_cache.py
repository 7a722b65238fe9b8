"""Nothing runs twice. That nothing stale is taken: test_stale."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.program import Pybuild

TEXT = """FROM base AS build
COPY src /src
RUN cat /src/* > /all
FROM base
COPY conf /conf
RUN cat /conf > /used
COPY --from=build /all /all
"""


@pytest.fixture
def built(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    pybuild.file("src/a", "a")
    pybuild.file("src/b", "b")
    pybuild.file("conf", "c")
    pybuild.build(TEXT, "-t", "app").ok()
    return pybuild


def image_id(pybuild: Pybuild) -> str:
    return str(json.loads(pybuild("inspect", "app"))[0]["Id"])


def test_a_second_build_runs_nothing_and_is_the_same_image(built: Pybuild) -> None:
    before = image_id(built)
    again = built.build(TEXT, "-t", "app").ok()
    assert again.ran == []
    assert len(again.cached) == 5
    assert image_id(built) == before


def test_an_edit_runs_only_what_depends_on_it(built: Pybuild) -> None:
    built.file("conf", "changed")
    assert built.build(TEXT, "-t", "app").ok().ran == [
        "COPY conf /conf",
        "RUN cat /conf > /used",
        "COPY --from=build /all /all",
    ]
    assert built.shell("app", "cat /used /all") == "changedab"
    built.file("src/a", "A")
    assert built.build(TEXT, "-t", "app").ok().ran == [
        "COPY src /src",
        "RUN cat /src/* > /all",
        "COPY --from=build /all /all",
    ]
    assert built.shell("app", "cat /used /all") == "changedAb"


def test_a_step_that_yields_the_same_stops_there(built: Pybuild) -> None:
    """Early cutoff: another command, the same files."""
    again = built.build(TEXT.replace("cat /conf >", "cat < /conf >") + "RUN touch /last\n").ok()
    assert again.ran == ["RUN cat < /conf > /used", "RUN touch /last"]


def test_going_back_hits_again(built: Pybuild) -> None:
    before = image_id(built)
    built.file("conf", "other")
    built.build(TEXT, "-t", "app").ok()
    built.file("conf", "c")
    assert built.build(TEXT, "-t", "app").ok().ran == []
    assert image_id(built) == before


def test_no_cache_runs_everything(built: Pybuild) -> None:
    assert len(built.build(TEXT, "--no-cache").ok().ran) == 5


def test_arguments_and_environment_count_where_they_are_in_effect(pybuild: Pybuild) -> None:
    pybuild.base()
    text = "FROM base\nRUN echo before\nARG X=1\nRUN echo $X\nCMD x\n"
    pybuild.build(text).ok()
    assert pybuild.build(text, "--build-arg", "X=2").ok().ran == ["RUN echo $X"]
    assert pybuild.build(text, "--build-arg", "X=1").ok().ran == []
    assert pybuild.build(text, "--build-arg", "HTTP_PROXY=http://p").ok().ran == []
    assert pybuild.build("FROM base\nRUN echo before\nENV E=1\nRUN echo $X\n").ok().ran == ["RUN echo $X"]


def test_another_base_of_the_same_name_is_another_base(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.build("FROM base\nRUN ls /marker || true\n", "-t", "app").ok()
    pybuild.build("FROM base\nRUN touch /marker\n", "-t", "base").ok()
    assert pybuild.build("FROM base\nRUN ls /marker || true\n").ok().ran == ["RUN ls /marker || true"]


def test_a_lost_blob_or_snapshot_is_made_again(built: Pybuild) -> None:
    records = json.loads(built("cache", "ls", "--format", "json"))
    assert len(records) == 5
    for snapshot in (built.root / "snapshots").iterdir():
        subprocess.run(["rm", "-rf", snapshot], check=True)
    built.file("conf", "new")
    built.build(TEXT, "-t", "app").ok()
    assert built.shell("app", "cat /used") == "new"
    for blob in (built.root / "blobs" / "sha256").iterdir():
        if blob.stat().st_size < 400 and blob.read_bytes()[:4] == b"\x28\xb5\x2f\xfd":
            blob.unlink()
    again = built.build(TEXT, "-t", "app").ok()
    assert again.ran
    assert built.shell("app", "cat /used") == "new"


def test_two_builds_at_once_share_the_work(built: Pybuild, tmp_path: Path) -> None:
    text = "FROM base\nRUN sleep 1; head -c 16 /dev/urandom | md5sum > /once\n"
    built.file("Buildfile", text)
    processes = [built.start("build", "-q", "-t", f"n{n}", ".") for n in range(3)]
    outputs = [p.communicate(timeout=120) for p in processes]
    assert [p.returncode for p in processes] == [0, 0, 0], outputs
    assert len({out for out, _ in outputs}) == 1


def test_the_cache_is_listed_and_measured(built: Pybuild) -> None:
    rows = json.loads(built("cache", "ls", "--format", "json"))
    assert {r["place"] for r in rows} == {f"Buildfile:{n}" for n in (2, 3, 5, 6, 7)}
    assert "COPY conf /conf" in built("cache", "ls")
    total = sum(r["bytes"] for r in json.loads(built("cache", "du", "--format", "json")))
    measured = subprocess.run(["du", "-sB1", built.root], capture_output=True, text=True, check=True).stdout
    # SQLite's log files are gone again when du looks.
    assert abs(total - int(measured.split()[0])) < 600_000
    assert "total" in built("cache", "du")


def test_unneeded_layers_go_with_their_image(pybuild: Pybuild) -> None:
    pybuild.base("old")
    before = {p.name for p in (pybuild.root / "blobs" / "sha256").iterdir()}
    assert "Deleted: sha256:" in pybuild("rmi", "old")
    assert len(before) == 3
    assert not list((pybuild.root / "blobs" / "sha256").iterdir())
    assert not list((pybuild.root / "snapshots").iterdir())
    assert pybuild.try_("rmi", "old").returncode == 4


def test_a_layer_shows_nothing_of_the_stack_it_was_made_on(pybuild: Pybuild) -> None:
    """The same layer may lie on another one: what its step touched and left as it was is no part of it."""
    pybuild.base()
    text = (
        "FROM base\n"
        "RUN {before}\n"
        "RUN chmod 644 /f && mkdir -p /d && : > /d/x && : > /gone && rm /gone && touch -d @0 /d/x /d\n"
    )
    pybuild.build(text.format(before="echo one > /f && chmod 644 /f"), "-t", "one").ok()
    other = text.format(before="echo two > /f && chmod 644 /f && mkdir /d && echo > /d/old && echo > /gone")
    pybuild.build(other.replace(": > /gone && rm /gone && ", ""), "-t", "two").ok()
    one, two = (json.loads(pybuild("inspect", name))[0]["RootFS"]["Layers"][-1] for name in ("one", "two"))
    assert one == two
    assert pybuild.shell("one", "cat /f; ls /d") == "one\nx\n"
    assert pybuild.shell("two", "cat /f; ls /d /gone") == "two\n/gone\n\n/d:\nold\nx\n"
