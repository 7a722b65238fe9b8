"""The wheel is whole: installed elsewhere, with no checkout around it, it works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.program import PROGRAM

TOP = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", directory, TOP], check=True, cwd=directory)
    (found,) = directory.glob("pybuild-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory it is installed in; what it depends on comes from the tests' own environment."""
    directory = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--target", directory, wheel], check=True)
    return directory


def run(installed: Path, work: Path, *command: str | Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(installed), "PYBUILD_ROOT": str(work / "store")}
    done = subprocess.run(command, cwd=work, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.network
def test_what_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [archive.read(n).decode() for n in names if n.endswith(".dist-info/METADATA")]
    assert {p.partition("/")[0].partition("-")[0] for p in names} == {"builder", "pybuild"}
    for file in (TOP / "grammar").iterdir():
        assert f"builder/lang/grammar/{file.name}" in names
    modules = {str(p.relative_to(TOP)) for p in (TOP / "builder").rglob("*.py")}
    assert modules <= names
    assert not [name for name in names if name.endswith(".pyc")]
    assert "builder/py.typed" in names
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert "Requires-Python: >=3.11\n" in metadata


@pytest.mark.network
def test_it_works_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    """The grammar it reads with is its own."""
    code = "import builder.lang.grammar as g; print(g.__file__)"
    assert run(installed, tmp_path, sys.executable, "-c", code).startswith(str(installed))
    (tmp_path / "Buildfile").write_text("FROM scratch\nCOPY a /b\n")
    (tmp_path / "a").write_text("content")
    program = installed / "bin" / "pybuild"
    tree = run(installed, tmp_path, program, "parse", ".")
    assert (
        tree == subprocess.run([PROGRAM, "parse", "."], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    )
    assert len(json.loads(tree)["instructions"]) == 2
    run(installed, tmp_path, program, "-q", "-o", "type=local,dest=out", ".")
    assert (tmp_path / "out" / "b").read_text() == "content"
