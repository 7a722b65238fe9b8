"""Checks as a user runs them: lint, build --check, --call, and the warnings of builds."""

from __future__ import annotations

import json

import pytest

from tests.support.program import Pybuild

FILE = """\
# all stands on it
FROM scratch AS Base
COPY a.txt $where/
CMD run
"""


@pytest.fixture
def linted(pybuild: Pybuild) -> Pybuild:
    pybuild.file("a.txt", "content")
    pybuild.file("Buildfile", FILE)
    return pybuild


@pytest.mark.parametrize(
    "call", [("lint",), ("build", "--check"), ("build", "--call=check"), ("lint", "Buildfile")], ids=" ".join
)
def test_a_check_shows_what_it_finds_and_ends_with_1(linted: Pybuild, call: tuple[str, ...]) -> None:
    done = linted.try_(*call, *([] if "Buildfile" in call else ["."]))
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("Check complete, 3 warnings have been found!\n\nWARNING: StageNameCasing - ")
    assert "\nVariable '$where' is not defined here\nBuildfile:3\n" in done.stdout
    assert "   4 | >>> CMD run\n" in done.stdout


def test_a_clean_file_ends_with_0(linted: Pybuild) -> None:
    assert linted("lint", "-f", "-", ".", input=b"FROM scratch\nCOPY a.txt /\n") == (
        "Check complete, no warnings found.\n"
    )


def test_the_json_of_a_check_is_one_document(linted: Pybuild) -> None:
    done = linted.try_("lint", "--format", "json")
    assert done.returncode == 1
    assert [w["ruleName"] for w in json.loads(done.stdout)["warnings"]] == [
        "StageNameCasing",
        "UndefinedVar",
        "JSONArgsRecommended",
    ]
    linted.file("Buildfile", "FROM scratch AS Base\nCOYP a /\n")
    done = linted.try_("build", "--call=check,format=json", ".")
    assert done.returncode == 3
    error = json.loads(done.stdout)["buildError"]
    assert "COYP" in error["message"]
    assert error["location"]["ranges"][0]["start"] == {"line": 2}


def test_what_would_stop_a_build_is_shown_by_a_check(linted: Pybuild) -> None:
    linted.file("Buildfile", "FROM scratch AS Base\nCOPY --chmod=999 a.txt /\n")
    done = linted.try_("build", "--check", ".")
    assert done.returncode == 3
    assert "WARNING: StageNameCasing" in done.stdout
    assert "--> Buildfile:2" in done.stderr


def test_a_build_warns_each_time_and_can_be_made_to_fail(linted: Pybuild) -> None:
    for _ in range(2):
        built = linted.build(FILE).ok()
        assert "WARNING: Buildfile:4: JSONArgsRecommended: " in built.err
    quiet = linted.build(f"# check=skip=all\n{FILE}").ok()
    assert "WARNING" not in quiet.err
    strict = f"# check=error=true\n{FILE}"
    failed = linted.build(strict, "-t", "never")
    assert failed.status == 3
    assert "StageNameCasing, UndefinedVar, JSONArgsRecommended" in failed.err
    assert "never" not in linted("images")
    linted.build(strict, "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all").ok()
    assert linted.try_("lint").returncode == 3


def test_the_environment_of_a_base_in_the_store_is_known(linted: Pybuild) -> None:
    linted.build("FROM scratch\nENV TOOLS=/tools\nCOPY a.txt /\n", "-t", "tools").ok()
    linted.file("Buildfile", "FROM tools\nENV A=$TOOLS B=$TOYS\n")
    done = linted.try_("lint")
    assert "'$TOYS' is not defined here" in done.stdout
    assert "'$TOOLS'" not in done.stdout
    linted.file("Buildfile", "FROM nowhere.invalid/tools\nENV A=$TOOLS B=$TOYS\n")
    assert "no warnings" in linted("lint")


def test_a_source_that_is_ignored_is_told_of_with_the_line_that_hides_it(linted: Pybuild) -> None:
    linted.file(".dockerignore", "# nothing\n*.txt\n")
    linted.file("Buildfile", "FROM scratch\nCOPY a.txt /\n")
    assert 'Copy of "a.txt", which .dockerignore:2 (*.txt) keeps' in linted.try_("lint").stdout


def test_outline_and_targets_are_shown(linted: Pybuild) -> None:
    linted.file("Buildfile", "# tools is for others\nFROM scratch AS tools\n# A to Z\nARG A=1\nFROM tools\nARG B\n")
    shown = linted("build", "--call=targets", ".").splitlines()
    assert shown == ["TARGET    DESCRIPTION", "tools     is for others", "(default)"]
    shown = linted("build", "--call=outline", "--target=tools", "--build-arg", "A=2", ".").splitlines()
    assert shown == [
        "TARGET:      tools",
        "DESCRIPTION: is for others",
        "",
        "BUILD ARG   VALUE   DESCRIPTION",
        "A           2       to Z",
        "",
    ]
    assert [a["name"] for a in json.loads(linted("build", "--call=outline,format=json", "."))["args"]] == ["A", "B"]
    assert linted.try_("build", "--call=outlines", ".").returncode == 2
