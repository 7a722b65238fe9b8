"""What `doctor PROJECT` reads out of the files of a project."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from builder.api.migration import commands
from builder.api.migration.files import Found, found, kind_of
from builder.api.migration.finding import Finding
from builder.api.migration.project import read
from builder.cli.judge import judged
from builder.cli.words import COMMANDS
from builder.errors import NotFoundError
from tests.support import golden

PROJECTS = sorted((golden.CASES / "migration").iterdir())


def shown(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}: {finding.severity}: {finding.kind}: {finding.message} → {finding.hint}\n"


@pytest.mark.parametrize("project", [p for p in PROJECTS if p.is_dir()], ids=lambda p: p.name)
def test_findings_are_those_that_were_accepted(project: Path, accept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    findings, images = read(str(project), found(str(project)), judged, {"amd64"})
    needed = [f"{image.file}:{image.line}: needs {image.reference} for {image.platform}\n" for image in images]
    golden.check(project.with_suffix(".txt"), "".join([*map(shown, findings), *needed]), accept)


def calls(text: str) -> list[str]:
    told = commands.looked_at(Found("x.sh", "commands", text), judged)
    return [f"{finding.line} {finding.severity} {finding.message}" for finding in told]


@pytest.mark.parametrize(
    "text",
    [
        "docker build -t x .",
        "\tdocker  build -t x .",
        'sh -c "docker build -t x ."',
        "  - docker build -t $(git describe --tags) .",
        "    run: docker build -t ${{ a.b }} --label=x=${Y:-docker build} .",
        "$(DOCKER) build -t x . > log 2>&1",
        "${CONTAINER_ENGINE} build . # docker build --nonsense",
        "sudo docker build . && docker build_all",
        "docker -H tcp://x build .",
    ],
)
def test_a_call_is_found_once(text: str) -> None:
    (told,) = calls(text)
    assert re.fullmatch(r"1 note `.+ build` is `pybuild build` here", told)


@pytest.mark.parametrize(
    "text",
    ["# docker build .", "// docker build .", "my-docker build .", "echo dockerbuild", "docker", "docker ps", ""],
)
def test_what_is_no_build_is_not_told_of(text: str) -> None:
    assert calls(text) == []


def test_flags_are_judged_where_the_call_begins() -> None:
    text = "true\ndocker build \\\n  --nonsense \\\n  --cap-add=ALL \\\n  --output type=nothing .\n"
    assert [line for line in calls(text) if "error" in line or "warning" in line] == [
        "2 error pybuild build has no option --nonsense",
        "2 warning --cap-add: steps get no more than Docker's capabilities",
        "2 error --output type=nothing: type=nothing is not known",
    ]


def test_hints_name_commands_that_there_are() -> None:
    text = (Path(commands.__file__).parent / "commands.py").read_text()
    named = set(re.findall(r'"(?:after )?pybuild (\w+)', text)) - {"looks"}
    assert len(named) > 5
    assert named <= set(COMMANDS)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("Dockerfile", "recipe"),
        ("sub/Dockerfile.dev", "recipe"),
        ("web.Dockerfile", "recipe"),
        ("Dockerfile.dockerignore", None),
        ("Dockerfile.md", None),
        ("compose.override.yaml", "compose"),
        ("docker-compose.yml", "compose"),
        ("docker-bake.override.json", "bake"),
        (".gitlab-ci.yml", "commands"),
        (".github/workflows/x.yaml", "commands"),
        ("workflows/x.yaml", None),
        ("Makefile", "commands"),
        ("main.py", None),
    ],
)
def test_files_are_known_by_their_names(path: str, kind: str | None) -> None:
    assert kind_of(path) == kind


def test_a_project_cannot_lead_out_of_itself_nor_stop_who_reads_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("FROM secret\n")
    project = tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").symlink_to("../secret")
    (project / "link").symlink_to("..")
    os.mkfifo(project / "Makefile")
    (project / "Dockerfile.large").write_bytes(b"#" * (2 << 20))
    deep = project
    for _ in range(40):
        deep /= "d"
        deep.mkdir()
    (deep / "Dockerfile").write_text("FROM deep\n")
    (project / "ok.sh").write_bytes(b"\xff\x1b[31m docker build .\n")
    assert [file.path for file in found(str(project))] == ["ok.sh"]


def test_what_is_no_project() -> None:
    with pytest.raises(NotFoundError):
        found("/nonexistent")
    with pytest.raises(NotFoundError, match="is no directory"):
        found("/etc/passwd")
