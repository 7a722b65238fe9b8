"""Files and variables that give options their defaults, and what tells of them, by the program."""

from __future__ import annotations

import json

import pytest

from tests.support.program import Pybuild


@pytest.fixture
def project(pybuild: Pybuild) -> Pybuild:
    pybuild.env["XDG_CONFIG_HOME"] = str(pybuild.work / "config")
    pybuild.file("config/pybuild/config.toml", '[gc]\nkeep-bytes = "1GB"\n[defaults.build]\ntag = "mine"\n')
    pybuild.file(".pybuild.toml", '[defaults.build]\nfile = "docker/Buildfile"\nbuild-arg = "COLOR=red"\n')
    pybuild.file("docker/Buildfile", "FROM scratch\nARG COLOR\nLABEL color=$COLOR\n")
    return pybuild


def color(pybuild: Pybuild, image: str = "mine") -> str:
    return str(json.loads(pybuild("inspect", image))[0]["Config"]["Labels"]["color"])


def test_a_build_begins_with_them_also_when_it_is_known(project: Pybuild) -> None:
    for _ in range(3):  # the third is answered from memory
        project(".")
        assert color(project) == "red"
    project.file(".pybuild.toml", '[defaults.build]\nfile = "docker/Buildfile"\nbuild-arg = "COLOR=blue"\n')
    project(".")
    assert color(project) == "blue"
    project("--build-arg", "COLOR=green", ".")
    assert color(project) == "green"
    project(".", PYBUILD_BUILD_BUILD_ARG="COLOR=gray")
    assert color(project) == "gray"


def test_commands_that_read_the_buildfile_find_the_same(project: Pybuild) -> None:
    assert "FROM scratch" in project("graph", ".")
    project("lint", ".")
    assert "Plan: 0 cached" in project("plan", ".")


def test_config_shows_who_said_what(project: Pybuild) -> None:
    shown = project("config", "show", PYBUILD_IMAGES_FORMAT="json", PYBUILD_LOGIN_PASSWORD="hidden").splitlines()
    rows = [line.split() for line in shown]
    assert rows[0] == ["NAME", "VALUE", "SOURCE"]
    user = project.work / "config/pybuild/config.toml"
    for row in (
        ["gc.enabled", "true", "default"],
        ["gc.keep-bytes", "1GB", f"{user}:2:1"],
        ["defaults.build.tag", "mine", f"{user}:4:7"],
        ["defaults.build.build-arg", "COLOR=red", f"{project.work}/.pybuild.toml:3:13"],
        ["defaults.images.format", "json", "$PYBUILD_IMAGES_FORMAT"],
        ["defaults.login.password", "(set)", "$PYBUILD_LOGIN_PASSWORD"],
    ):
        assert row in rows
    found = json.loads(project("config", "show", "--format", "json", "defaults.build"))
    assert {"name": "defaults.build.jobs", "value": 4, "source": "default"} in found
    assert all(row["name"].startswith("defaults.build.") for row in found)
    refused = project.try_("config", "show", "gc.keep-byte")
    assert (refused.returncode, "did you mean gc.keep-bytes?" in refused.stderr) == (4, True)


def test_config_tells_where_files_are(project: Pybuild) -> None:
    found = json.loads(project("config", "files", "--format", "json"))
    assert [(row["whose"], row["state"]) for row in found][1:] == [("user", "read"), ("project", "read")]
    assert found[1]["path"] == str(project.work / "config/pybuild/config.toml")


def test_what_is_wrong_is_told_whatever_is_called(project: Pybuild) -> None:
    project.file(".pybuild.toml", '[defaults.build]\n  allow = "network.host"\n')
    for words in (("build", "."), ("images",), ("config", "show")):
        refused = project.try_(*words)
        assert refused.returncode == 2
        assert refused.stderr == (
            "error: a project cannot set defaults.build.allow\n"
            f"  --> {project.work}/.pybuild.toml:2:3\n"
            '  2 |   allow = "network.host"\n'
            "    |   ^\n"
            "  hint: it may say what a Buildfile could, and how the work is shown;"
            " what else you want belongs into your own file\n"
        )
    project.file(".pybuild.toml", "")
    project.file("config/pybuild/config.toml", "[defaults.images]\nformat = 'jsonn'\n")
    assert project.try_("images").returncode == 2
    project("build", ".", "-f", "docker/Buildfile")
    assert "config.toml:2:10" in project.try_("config", "show").stderr
