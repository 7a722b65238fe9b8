"""Images looked into by the real program."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from builder.cli.analyze import Limit
from builder.cli.diff import diff
from builder.store.open import Store
from tests.support import layered
from tests.support.program import Pybuild
from tests.support.rootfs import directory, member
from tests.support.screen import terminal

LAYERS = (
    [directory("app"), member("app/one", b"x" * 3_000_000), member("app/two", b"y" * 1_000_000)],
    [member("app/.wh.one"), member("app/esc\x1b[2Jape", b"\x1b[31mred\n")],
)


@pytest.fixture
def made(pybuild: Pybuild) -> Pybuild:
    """A store with an image that was put there, not built."""
    store = Store.open(pybuild.root)
    places = [("Buildfile", 2), ("Buildfile", 3)]
    layered.image(store, "app", *LAYERS, steps=["COPY . /app # buildkit", "RUN /bin/sh -c rm"], places=places)
    store.close()
    return pybuild


def test_analyze_tells_lines_waste_and_what_to_change(made: Pybuild) -> None:
    shown = made("analyze", "app")
    assert "Efficiency 25.0%: 3MB of 4MB (75.0%) are wasted" in shown
    assert "3MB written by Buildfile:2, deleted by Buildfile:3" in shown
    assert "→ do not copy what is deleted again" in shown
    found = json.loads(made("analyze", "--format", "json", "app"))
    assert (found["wasted"], found["waste"][0]["examples"][0]["path"]) == (3_000_000, "/app/one")


def test_analyze_fails_over_a_limit(made: Pybuild) -> None:
    for limit, status in {"75%": 0, "74.9%": 1, "2.9MB": 0, "2MB": 1}.items():
        done = made.try_("analyze", "--fail-over", limit, "app")
        assert (done.returncode, "and --fail-over allows" in done.stderr) == (status, bool(status)), limit
        assert "Efficiency" in done.stdout


@pytest.mark.parametrize("limit", ["x", "101%", "-1", "%"])
def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(click.BadParameter, match="neither bytes, as 10MB, nor a part of them"):
        Limit().convert(limit, None, None)


def test_names_from_images_do_not_command_the_terminal(made: Pybuild) -> None:
    shown = made("tree", "app@2")
    assert "\x1b" not in shown
    assert "esc\\x1b[2Jape" in shown


def test_a_file_is_printed_as_it_is_but_on_a_terminal(made: Pybuild) -> None:
    assert made("cat", "app:/app/esc\x1b[2Jape") == "\x1b[31mred\n"
    master, terminal = pty.openpty()
    try:
        subprocess.run(made.command("cat", "app:/app/esc\x1b[2Jape"), stdout=terminal, check=True)
        assert os.read(master, 1000) == b"\\x1b[31mred\r\n"
    finally:
        os.close(terminal)
        os.close(master)


def test_what_is_built_is_analyzed_by_its_lines(pybuild: Pybuild) -> None:
    pybuild.file("data", "d" * 5000)
    pybuild.build("FROM scratch\nCOPY data /a\n\nCOPY --chown=3:4 data /a\nCOPY data /b\n", "-t", "app").ok()
    found = json.loads(pybuild("analyze", "--format", "json", "app"))
    assert [line["place"] for line in found["lines"]] == ["Buildfile:2", "Buildfile:4", "Buildfile:5"]
    (one,) = found["waste"]
    assert (one["how"], one["bytes"], one["written"]["place"]) == ("owner", 5000, "Buildfile:2")
    assert "--chown" in one["advice"]
    rows = json.loads(pybuild("tree", "--format", "json", "app@2"))
    assert [(row["path"], row.get("change")) for row in rows] == [("/", None), ("/a", "C")]


def test_two_images_are_compared_and_one_name_is_a_container(made: Pybuild) -> None:
    store = Store.open(made.root)
    layered.image(store, "other", *LAYERS[:1], user="me")
    store.close()
    shown = made("diff", "app", "other").splitlines()
    assert shown[2:] == [
        "  User: nothing → me",
        "Files: 1 added (3MB), 1 removed (9B)",
        "D /app/esc\\x1b[2Jape  9B",
        "A /app/one  3MB",
    ]
    found = json.loads(made("diff", "--format", "json", "app", "other"))
    assert [(one["path"], one["change"]) for one in found["files"]][1] == ("/app/one", "added")
    assert made.try_("diff", "--exit-code", "app", "other").returncode == 1
    assert made.try_("diff", "--exit-code", "app", "app").returncode == 0
    alone = made.try_("diff", "app")
    assert (alone.returncode, "pybuild diff app IMAGE" in alone.stderr) == (4, True)
    for words in (["a", "b", "c"], ["--times", "a"], ["--exit-code", "a"], ["--platform", "x/y", "a"]):
        with pytest.raises(click.UsageError):
            diff.main(words, standalone_mode=False)


def test_images_of_an_index_are_chosen_by_platform(pybuild: Pybuild) -> None:
    text = "FROM scratch\nARG TARGETARCH\nCOPY <<END /file\nfor $TARGETARCH\nEND\n"
    pybuild.build(text, "-t", "app", "--platform", "linux/amd64,linux/arm64").ok()
    arm = ("--platform", "linux/arm64")
    assert pybuild("cat", *arm, "app:/file") == "for arm64\n"
    found = json.loads(pybuild("analyze", *arm, "--format", "json", "app"))
    assert (found["platform"], [line["place"] for line in found["lines"]]) == ("linux/arm64", ["Buildfile:3"])
    assert json.loads(pybuild("tree", *arm, "--format", "json", "app"))[1]["size"] == len("for arm64\n")
    assert pybuild("diff", *arm, "app", "app").splitlines()[-1] == "no difference"
    shown = pybuild("diff", "--platform", "linux/amd64,linux/arm64", "app", "app").splitlines()
    assert shown[2:] == ["  Platform: linux/amd64 → linux/arm64", "Files: 1 changed (10B)", "C /file  content"]
    assert pybuild.try_("tree", "--platform", "linux/s390x", "app").returncode == 4


def test_on_a_narrow_terminal_lines_end_between_words(made: Pybuild) -> None:
    with terminal(made.command("analyze", "app"), made.work, 40, 60) as shown:
        assert shown.ended() == 0
        lines = shown.lines
    assert "Efficiency 25.0%: 3MB of 4MB (75.0%) are" in lines
    at = next(n for n, line in enumerate(lines) if "→" in line)
    assert lines[at : at + 2] == ["    → do not copy what is deleted again:", "      name it in .dockerignore or"]


# --- the page about it ---------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "insight.md"


_FIGURE = re.compile(r"[\d.]+[kMG]?B|\(?[\d.]+%[):]*|[0-9a-f]{12}|sha256:[0-9a-f]{64}")


def masked(text: str) -> list[list[str]]:
    """Words of lines, without figures of this machine's base and digests."""
    return [["…" if _FIGURE.fullmatch(word) else word for word in line.split()] for line in text.splitlines()]


def test_the_page_shows_what_is_true(pybuild: Pybuild) -> None:
    page = PAGE.read_text()
    blocks = re.findall(r"```(Buildfile|console) (\w+)\n(.*?)```", page, re.DOTALL)
    first, second = (text for kind, _, text in blocks if kind == "Buildfile")
    pybuild.base()
    pybuild.file("app.py", 'print("hello")\n')
    pybuild.file("model.bin", "d" * 4_000_000)
    pybuild.file(".git/pack", bytes(300_000))
    pybuild.build(first, "-t", "shop:1").ok()
    pybuild.file("Buildfile.2", second)
    pybuild("build", "-q", "-f", "Buildfile.2", "-t", "shop:2", ".")
    runs = [run for kind, _, text in blocks if kind == "console" for run in text.split("$ pybuild ")[1:]]
    assert len(runs) == 5
    for run in runs:
        command, _, shown = run.partition("\n")
        assert masked(pybuild(*shlex.split(command))) == masked(shown), command
