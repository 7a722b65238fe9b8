"""Options of other builders: what they come to, what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from builder.cli.build import request_from
from builder.cli.program import pybuild
from builder.errors import UsageError
from builder.image.platform import host
from builder.request import BuildRequest

HERE = host()


def asked(*words: str) -> BuildRequest:
    """What a build with these words is asked for."""
    # Below the program, as it is called: click keeps for good what -h is in the first context it meets.
    program = click.Context(pybuild, **pybuild.context_settings)
    with click.Context(click.Command("test"), parent=program):
        return request_from("build", [*words, "."], "test")[0]


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--arch", "arm64"], "platform", "linux/arm64"),
        (["--arch", "arm", "--variant", "v7"], "platform", "linux/arm/v7"),
        (["--os", "linux"], "platform", str(HERE)),
        (["--timestamp", "7"], "build_args", {"SOURCE_DATE_EPOCH": "7"}),
        (["--layers=false"], "squash", ""),
        (["--layers"], "squash", None),
        (["--layers=true", "--squash=base"], "squash", "base"),
        (["--squash-all"], "squash", "scratch"),
        (["--pull-always"], "pull", "always"),
        (["--pull-never"], "pull", "never"),
        (["--pull-always=false"], "pull", "missing"),
        (["--retry", "3", "--retry-delay", "5s"], "retry", "3,delay=5s"),
        (["--format", "docker", "-o", "type=oci,dest=a"], "outputs", ("type=oci,dest=a,oci-mediatypes=false",)),
        (["--format", "oci", "-o", "type=docker,dest=a"], "outputs", ("type=docker,dest=a,oci-mediatypes=true",)),
        (
            ["--format", "docker", "-o", "type=oci,dest=a,oci-mediatypes=true", "-o", "dir"],
            "outputs",
            ("type=oci,dest=a,oci-mediatypes=true", "dir"),
        ),
        (["--format", "docker", "--push", "-t", "a/b"], "outputs", ("type=registry,oci-mediatypes=false",)),
        (["--format", "docker"], "outputs", ()),
        (["--rewrite-timestamp", "-o", "type=oci,dest=a"], "outputs", ("type=oci,dest=a,rewrite-timestamp=true",)),
        (["--compress", "--force-rm=false", "--rm", "--isolation", "default"], "outputs", ()),
        (["--disable-content-trust", "--disable-compression=true", "--identity-label=false"], "labels", ()),
        (["--label", "a=b", "--label", "PATH"], "labels", (("a", "b"), ("PATH", ""))),
        (["--network", "private"], "network", "default"),
        (["--net", "none"], "network", "none"),
        (["--jobs", "0"], "parallelism", 64),
    ],
)
def test_what_is_asked(words: list[str], field: str, value: Any) -> None:
    assert getattr(asked(*words), field) == value


def test_arguments_of_files_count_less_than_those_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "args").write_text("# some\n\nA=1\n  B=2 3 \nA=4\n")
    found = asked("--build-arg-file", str(tmp_path / "args"), "--build-arg", "B=own").build_args
    assert found == {"A": "4", "B": "own"}


def test_the_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://one")
    monkeypatch.setenv("no_proxy", "localhost")
    assert asked().build_args == {}
    assert asked("--http-proxy=false").build_args == {}
    assert asked("--http-proxy").build_args == {"HTTP_PROXY": "http://one", "no_proxy": "localhost"}
    assert asked("--http-proxy", "--build-arg", "no_proxy=x").build_args["no_proxy"] == "x"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arch", "arm64", "--platform", "linux/amd64"], "--variant and --platform linux/amd64 do not"),
        (["--timestamp", "7", "--source-date-epoch", "8"], "--timestamp and --source-date-epoch 8 do not go together"),
        (["--squash=base", "--squash-all"], "--squash-all and --squash base do not go together"),
        (["--pull=newer", "--pull-never"], "--pull-never and --pull newer do not go together"),
        (["--pull-always", "--pull-never"], "--pull-never and --pull-always do not go together"),
        (["--squash", "--squash-all"], "--squash-all and --squash do not go together"),
        (["--retry-delay", "5s"], "--retry-delay needs --retry"),
        (["--retry", "3,delay=1s", "--retry-delay", "5s"], "do not go together"),
        (["--rm=false"], "there are no intermediate containers to keep"),
        (["--disable-content-trust=false"], "no Docker Content Trust"),
        (["--isolation", "chroot"], "pybuild's own isolation"),
        (["--build-arg-file", "/nowhere"], "cannot be read"),
        (["--builder", "other"], "--builder is not here: there is no daemon"),
        (["--userns=host"], "--userns is not here"),
    ],
)
def test_what_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")) as refused:
        asked(*words)
    assert refused.value.hint or "need" in said or "nowhere" in " ".join(words)


def test_what_a_variable_says_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/s390x")
    assert asked().platform == "linux/s390x"
    assert asked("--platform", "linux/amd64").platform == "linux/amd64"
    assert asked("--arch", "arm64").platform == "linux/arm64"


def test_a_line_of_a_file_that_is_no_argument(tmp_path: Path) -> None:
    (tmp_path / "args").write_text("A=1\nnonsense\n")
    with pytest.raises(UsageError, match="args:2: 'nonsense' is not NAME=VALUE"):
        asked("--build-arg-file", str(tmp_path / "args"))
