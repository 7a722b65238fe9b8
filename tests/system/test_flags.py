"""Flags that buildah and podman have: what they do to steps and to the image."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.golden import CASES
from tests.support.program import Built, Pybuild

SEEN = """FROM nowhere
LABEL own=1
RUN cat /shown/file > /seen; echo "env=$X" >> /seen; grep -E "Cap(Prm|Bnd)|NoNewPrivs" /proc/self/status >> /seen; \\
  ls /etc/hosts >> /seen 2>/dev/null; head -c 2 /dev/given | tr "\\0" 0 >> /seen; touch /shown/written 2>/dev/null; true
COPY . /context
ENV Z=1
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("flags")
    pybuild = Pybuild(directory / "store", directory)
    pybuild.base("bare")
    pybuild.build("FROM bare\nLABEL below=1 other=2\n", "-t", "base").ok()
    return pybuild.root


@pytest.fixture
def based(store: Path, tmp_path: Path) -> Pybuild:
    return Pybuild(store, tmp_path)


def config(program: Pybuild, name: str) -> dict[str, object]:
    (found,) = json.loads(program("inspect", name))
    assert isinstance(found, dict)
    return found


def test_what_is_shown_to_steps_and_taken_from_them(based: Pybuild, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "file").write_text("shown\n")
    based.file("work/leave", "x")
    based.file("work/take", "y")
    based.file("rules", "leave\n")
    based.file("Given", SEEN)
    words = (
        "build", "-f", "Given", "--from", "base", "-v", f"{shown}:/shown:ro", "--device", "/dev/zero:/dev/given",
        "--cap-drop", "CAP_CHOWN", "--cap-drop", "mknod", "--security-opt", "no-new-privileges", "--no-hosts",
        "--env", "X=5", "--unsetenv", "X", "--unsetlabel", "below", "--omit-history", "--ignorefile", "rules",
        "--manifest", "listed", "-t", "app", "work",
    )  # fmt: skip
    based(*words)
    seen = based.shell("app", "cat /seen; ls /context")
    # Docker's default set without chown (0) and mknod (27)
    for line in ("shown", "env=5", "CapPrm:\t00000000a00425fa", "CapBnd:\t00000000a00425fa", "NoNewPrivs:\t1"):
        assert line in seen.splitlines()
    assert "/etc/hosts" not in seen
    assert seen.endswith("00take\n")
    assert not (shown / "written").exists()
    found = config(based, "app")
    assert found["Config"] == {**found["Config"], "Labels": {"other": "2", "own": "1"}}  # type: ignore[dict-item]
    assert "X=5" not in found["Config"]["Env"]  # type: ignore[index]
    assert not any(row["created_by"] for row in json.loads(based("history", "--format", "json", "app")))
    (entry,) = json.loads(based("manifest", "inspect", "listed"))["manifests"]
    assert entry["digest"] == found["Digest"]
    again = based.try_(*words, "--progress", "plain")
    assert Built(again.returncode, "", again.stderr).ok().ran == []
    elsewhere = based.try_(*(word.replace(":/shown:ro", ":/shown") for word in words), "--progress", "plain")
    (ran,) = Built(elsewhere.returncode, "", elsewhere.stderr).ok().ran
    assert ran.startswith("RUN cat /shown/file")
    assert "--volume, --device changed" in based("cache", "why")
    assert (shown / "written").exists()


@pytest.mark.parametrize(("tier", "user"), [("ranges", "0"), ("ranges", "7"), ("one-id", "0")])
def test_an_ordinary_user_shows_and_takes_the_same(as_user: Pybuild, tier: str, user: str) -> None:
    as_user.base()
    as_user.file("shown/file", "shown\n")
    text = f"FROM base\nUSER {user}\nRUN cat /s/file; grep CapPrm /proc/self/status; head -c 2 /dev/given | od -c\n"
    words = ("-v", "./shown:/s:ro", "--cap-drop", "all", "--device", "/dev/zero:/dev/given")
    done = as_user.build(text, *words, PYBUILD_TIER=tier).ok()
    assert "CapPrm:\t0000000000000000" in done.err
    assert "shown" in done.err
    assert "\\0  \\0" in done.err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("-v", "nowhere:/x"), 2, "'nowhere' would be a named volume"),
        (("-v", "/nowhere:/x"), 4, "/nowhere does not exist"),
        (("-v", "/tmp:x"), 2, "must be an absolute path"),
        (("-v", "/tmp:/x:z"), 2, "is not SRC:DST[:ro]"),
        (("--device", "/etc/passwd"), 2, "is no device"),
        (("--device", "/dev/null:/x:r"), 2, "cannot be held"),
        (("--device", "/dev/nowhere"), 4, "/dev/nowhere: No such file"),
        (("--security-opt", "no-new-privilege"), 2, "did you mean no-new-privileges?"),
        (("--cap-drop", "chwon"), 2, "did you mean chown?"),
        (("--no-hosts", "--add-host", "a=1.2.3.4"), 2, "leaves /etc/hosts alone"),
        (("--ignorefile", "nowhere"), 4, "the ignore file nowhere does not exist"),
        (("--manifest", "a", "-o", "type=oci,dest=x"), 2, "give --load"),
    ],
)
def test_what_is_refused(based: Pybuild, words: tuple[str, ...], status: int, said: str) -> None:
    done = based.build("FROM base\nRUN true\n", *words)
    assert done.status == status
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("words", "builder"),
    [(("docker", "build"), "docker"), (("buildah", "bud"), "buildah"), (("podman", "build"), "podman")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_flags_told_of_are_those_the_builders_have(words: tuple[str, ...], builder: str) -> None:
    done = subprocess.run(
        [*words, "--help"], env={**os.environ, "DOCKER_BUILDKIT": "0"}, capture_output=True, text=True, check=True
    )
    found = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", done.stdout, re.MULTILINE)) - {"--help"}
    assert len(found) > 20
    assert found <= set((CASES / "flags" / f"{builder}.txt").read_text().split())


def test_the_work_is_shown_in_a_file(based: Pybuild) -> None:
    text = "FROM base\nRUN echo said-here\n"
    done = based.build(text, "--logfile", "log", "--no-cache").ok()
    assert done.err == ""
    assert "said-here" in (based.work / "log").read_text()
    assert based.build(text, "--logfile", "log").ok().err == ""
    assert "CACHED" in (based.work / "log").read_text()
    failed = based.build("FROM base\nRUN echo why; exit 3\n", "--logfile", "log")
    assert "why" in failed.err
    assert based.build(text, "--logfile", "/nowhere/log").status == 2
