from __future__ import annotations

from pathlib import Path

import pytest

from builder.config.defaults import OF_PROJECTS, defaults
from builder.errors import UsageError


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_the_last_file_holds_and_each_value_knows_its_place(tmp_path: Path) -> None:
    machine = write(tmp_path / "machine", '[gc]\nenabled = false\n[defaults.build]\njobs = 2\nprogress = "plain"\n')
    user = write(
        tmp_path / "user", 'defaults.cache.ls.format = "json"\n[defaults.build]\njobs = 4\nallow = ["network.host"]\n'
    )
    project = write(tmp_path / ".pybuild.toml", '[defaults.build]\nprogress = "quiet"\n')
    found = defaults((machine, user), project)
    assert {name: value.value for name, value in found.items()} == {
        "build.jobs": 4,
        "build.progress": "quiet",
        "build.allow": ["network.host"],
        "cache.ls.format": "json",
    }
    assert str(found["build.jobs"].where) == f"{user}:3:8"
    assert str(found["build.progress"].where) == f"{project}:2:12"
    assert defaults((), None) == {}


@pytest.mark.parametrize(
    "said",
    [
        'allow = ["security.insecure"]',
        'network = "host"',
        'secret = ["id=a,src=/etc/shadow"]',
        'ssh = ["default"]',
        'output = ["/home"]',
        'iidfile = "x"',
        'metadata-file = "x"',
        'report = "x"',
        'trace = "x"',
        "push = true",
        'tag = ["debian"]',
        "locked = false",
        "no-lock = true",
        'lock-file = "x"',
        'root = "/"',
        'cgroup-parent = "/"',
        'insecure-registry = ["x"]',
        'registry-mirror = ["x"]',
        'authfile = "x"',
        'verify-key = ["x"]',
        'memory = "9g"',
        'build-context = ["a=/"]',
        'on-fail-export = ["/:/"]',
        'cache-from = ["x"]',
        'cache-to = ["x"]',
        'sign-key = "x"',
        'add-host = ["a=1.2.3.4"]',
        'dns = ["1.2.3.4"]',
        'ulimit = ["nofile=9"]',
        "offline = false",
        'pull = "never"',
    ],
)
def test_a_project_reaches_nothing_but_itself(tmp_path: Path, said: str) -> None:
    project = write(tmp_path / ".pybuild.toml", f"[defaults.build]\n{said}\n")
    with pytest.raises(UsageError) as caught:
        defaults((), project)
    assert caught.value.message == f"a project cannot set defaults.build.{said.split(' ')[0]}"
    assert str(caught.value.where) == f"{project}:2:1"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('[gc]\nkeep-bytes = "1TB"\n', "a project cannot set gc", "what a Buildfile could"),
        (
            '[defaults.run]\nsecurity-opt = ["x"]\n',
            "a project cannot set defaults.run.security-opt",
            "what a Buildfile",
        ),
        ("[defaults.build]\njob = 2\n", "a project cannot set defaults.build.job", "did you mean jobs?"),
        (
            '[defaults.build]\nbuild-arg = ["A=1", "TOKEN"]\n',
            "build.build-arg of a project must be NAME=VALUE",
            "variable",
        ),
        ('[defaults.build]\nlabel = "TOKEN"\n', "build.label of a project must be NAME=VALUE", "variable"),
        ('[defaults.build]\nfile = "/etc/shadow"\n', "'/etc/shadow' is no file of the project", "name one below"),
        ('[defaults.build]\nfile = "a/../../b"\n', "'a/../../b' is no file of the project", "name one below"),
        ('[defaults.build]\nfile = "-"\n', "'-' is no file of the project", "name one below"),
        ("[[[", "not TOML: Invalid initial character for a key part", ""),
        ("a." * 3000 + "b = 1", "", ""),
    ],
)
def test_what_a_project_cannot_say(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        defaults((), write(tmp_path / ".pybuild.toml", text))
    assert message in caught.value.message
    assert hint in str(caught.value.hint)


def test_a_file_of_the_project_is_found_from_wherever_in_it_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write(tmp_path / ".pybuild.toml", '[defaults.build]\nfile = "docker/Buildfile"\n')
    (tmp_path / "below").mkdir()
    for directory, path in ((tmp_path, "docker/Buildfile"), (tmp_path / "below", "../docker/Buildfile")):
        monkeypatch.chdir(directory)
        assert defaults((), project)["build.file"].value == path


def test_all_that_a_project_may_say_are_options_of_build() -> None:
    from builder.cli.build import build
    from builder.cli.defaults import settable

    assert {name.removeprefix("build.") for name in OF_PROJECTS} <= settable(build).keys()
