"""What `pybuild bake` prints, and what it refuses, before it builds anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from builder.cli.complete import main as complete
from builder.cli.program import pybuild
from builder.cli.report import draw
from builder.errors import PybuildError

BAKE = """\
variable "TAG" {
  default     = "latest"
  description = "of all"
}
variable "NOTHING" { type = list(string) }
group "default" { targets = ["app", "tool"] }
target "_common" { args = { WHAT = "bread" } }
target "oven" { dockerfile-inline = "FROM base" }
target "app" {
  description = "the program"
  inherits    = ["_common"]
  contexts    = { warm = "target:oven" }
  context     = "./x/../app"
  tags        = ["app:${TAG}"]
}
target "tool" { tags = ["tool"] }
"""
Bake = Callable[..., tuple[int, str]]


@pytest.fixture
def bake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bake:
    """Runs it in a directory with a bake file; gives its exit code and all it says."""
    monkeypatch.chdir(tmp_path)
    Path("docker-bake.hcl").write_text(BAKE)

    def run(*words: str, input: str | None = None) -> tuple[int, str]:
        done = CliRunner().invoke(pybuild, ["bake", *words], input=input, standalone_mode=False)
        if isinstance(done.exception, PybuildError):
            return done.exception.exit_code, draw(done.exception) + "\n"
        if isinstance(done.exception, click.ClickException):
            return done.exception.exit_code, done.exception.format_message()
        assert done.exception is None, done.exception
        return done.exit_code, done.output

    return run


def test_what_would_be_built(bake: Bake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAG", "3")
    status, shown = bake("--print", "app")
    assert status == 0
    assert json.loads(shown) == {
        "group": {"default": {"targets": ["app"]}},
        "target": {
            "app": {
                "description": "the program",
                "context": "app",
                "contexts": {"warm": "target:oven"},
                "dockerfile": "Dockerfile",
                "args": {"WHAT": "bread"},
                "tags": ["app:3"],
            },
            "oven": {
                "context": ".",
                "dockerfile": "Dockerfile",
                "dockerfile-inline": "FROM base",
                "output": [{"type": "cacheonly"}],
            },
        },
    }
    assert list(json.loads(shown)["target"]["app"])[:3] == ["description", "context", "contexts"], "in buildx's order"
    assert bake("--print", "-f", "-", input=shown) == (0, shown), "it says the same again"
    assert '"app:4"' in bake("--print", "--var", "TAG=4", "app")[1]
    monkeypatch.setenv("BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP", "1")
    assert '"app:latest"' in bake("--print", "app")[1]


def test_options_for_all_targets(bake: Bake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "7")
    words = ("--push", "--no-cache", "--pull=false", "--sbom", "--provenance=mode=max", "--check")
    shown = json.loads(bake("--print", *words, "tool")[1])["target"]["tool"]
    assert shown == {
        "attest": [{"type": "sbom"}, {"mode": "max", "type": "provenance"}],
        "context": ".",
        "dockerfile": "Dockerfile",
        "args": {"SOURCE_DATE_EPOCH": "7"},
        "tags": ["tool"],
        "output": [{"push": "true", "type": "image"}],
        "pull": False,
        "no-cache": True,
        "call": "check",
    }


def test_several_files(bake: Bake, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("docker-bake.override.json").write_text('{"target": {"tool": {"tags": ["over"]}}}')
    Path("compose.yaml").write_text("services: {web: {build: ., image: web}, tool: {build: {target: t}}}\n")
    shown = json.loads(bake("--print", "tool", "web")[1])["target"]
    assert shown["tool"] == {"context": ".", "dockerfile": "Dockerfile", "tags": ["over"], "target": "t"}
    assert shown["web"]["tags"] == ["web"]
    alone = json.loads(bake("--print", "-f", "compose.yaml")[1])
    assert alone["group"]["default"]["targets"] == ["tool", "web"]
    monkeypatch.setenv("BUILDX_BAKE_FILE", "docker-bake.hcl;compose.yaml")
    monkeypatch.setenv("BUILDX_BAKE_PATH_SEPARATOR", ";")
    assert json.loads(bake("--print", "tool")[1])["target"]["tool"]["tags"] == ["tool"]


def test_lists(bake: Bake) -> None:
    assert bake("--list=targets")[1].splitlines() == [
        "TARGET    DESCRIPTION",
        "app       the program",
        "default   app, tool",
        "oven",
        "tool",
    ]
    assert json.loads(bake("--list", "type=targets,format=json")[1])[:2] == [
        {"name": "app", "description": "the program"},
        {"name": "default", "description": "app, tool", "group": True},
    ]
    assert [line.split() for line in bake("--list", "variables", "--var", "TAG=x")[1].splitlines()] == [
        ["VARIABLE", "TYPE", "VALUE", "DESCRIPTION"],
        ["NOTHING", "list(string)", "<null>"],
        ["TAG", "x", "of", "all"],
    ]
    assert json.loads(bake("--list", "variables,format=json")[1])[1] == {
        "name": "TAG",
        "value": "latest",
        "description": "of all",
    }


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("ap",), 4, "error: no target is called ap\n  hint: did you mean app?"),
        (("-f", "nothing.hcl"), 4, "error: nothing.hcl does not exist"),
        (("-f", "."), 2, ". cannot be read: Is a directory"),
        (("--set", "app.tags"), 2, "the value is missing"),
        (("--list", "cakes"), 2, "'cakes' is not targets or variables"),
        (("--print", "--list", "targets"), 2, "exclude each other"),
        (("--print", "https://example.com/repo.git"), 2, "is read from where you are"),
        (("--var", "TAG"), 2, "is not NAME=VALUE"),
        (("--call", "eat"), 2, "'eat'"),
        (("--allow", "all"), 2, "--allow all is not known"),
        (("--set", "app.args.A=\udcff"), 2, "not UTF-8"),
        (("--set", "*.output=type=oci,dest=x.tar", "app", "tool"), 2, "app and tool both write to x.tar"),
    ],
)
def test_bad_words(bake: Bake, words: tuple[str, ...], status: int, said: str) -> None:
    got, output = bake(*words)
    assert said in output
    assert got == status


def test_an_error_shows_the_place(bake: Bake) -> None:
    Path("docker-bake.hcl").write_text('target "app" {\n  tags = ["app:${TAQ}"]\n}\nvariable "TAG" {}\n')
    assert bake("app") == (
        3,
        "error: there is no variable TAQ\n"
        "  --> docker-bake.hcl:2:18\n"
        '  2 |   tags = ["app:${TAQ}"]\n'
        "    |                  ^^^\n"
        "  hint: did you mean TAG?\n",
    )


def test_without_a_bake_file(bake: Bake) -> None:
    Path("docker-bake.hcl").unlink()
    status, said = bake()
    assert status == 4
    assert "there is no bake file here" in said


def test_files_that_are_no_text(bake: Bake, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("docker-bake.hcl").write_bytes(b'x = "a"\ny = "\xff"\n')
    assert bake()[1].startswith("error: docker-bake.hcl is not UTF-8\n  --> docker-bake.hcl:2\n")
    Path("docker-bake.hcl").write_bytes(b"#" * (9 << 20))
    assert "is larger than 8 MiB" in bake()[1]
    Path("docker-bake.hcl").write_text('variable "V" {}\ntarget "default" {}\n')
    monkeypatch.setenv("V", "\udcff")
    assert "the variable V is not UTF-8" in bake()[1]


def test_a_kind_of_block_that_is_none_is_told_of(bake: Bake) -> None:
    Path("docker-bake.hcl").write_text('target "default" {}\ntarget_ "x" {}\n')
    assert bake("--print")[1].startswith("WARNING: docker-bake.hcl:2: target_ is no kind of block\n")


def test_what_is_beyond_the_directory_is_refused(bake: Bake, tmp_path: Path) -> None:
    Path("docker-bake.hcl").write_text('target "default" { output = ["/srv/out"] }\n')
    status, said = bake()
    assert status == 2
    assert said == (
        "error: default: this needs what was not allowed\n    fs.write=/srv/out\n  hint: --allow fs.write=/srv/out\n"
    )
    Path("compose.yaml").write_text("services: {a: {extends: {file: /etc/hosts, service: b}, build: .}}\n")
    assert "error: /etc/hosts lies outside of where you are" in bake()[1]
    assert "a compose file is a mapping" in bake("--allow", "fs.read=/etc")[1]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (["bake", ""], ["_common", "oven", "app", "tool", "default"]),
        (["bake", "app", "t"], ["tool"]),
        (["bake", "--set", "a"], ["app."]),
        (["bake", "--set", "app.no-c"], ["app.no-cache=", "app.no-cache-filter="]),
        (["bake", "--var", "T"], ["TAG="]),
        (["bake", "-f", "none.hcl", ""], []),
    ],
)
def test_what_is_offered_while_a_line_is_written(
    bake: Bake, line: list[str], offered: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    complete(["zsh", *line])
    assert [row.split("\t")[1] for row in capsys.readouterr().out.splitlines()] == offered
