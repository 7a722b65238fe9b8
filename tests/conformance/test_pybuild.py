"""The images pybuild makes are those that the cases expect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import bases
from tests.conformance.case import Case, cases, same
from tests.support.facts import read
from tests.support.program import Pybuild
from tests.system.test_answers import WHOLE, build


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """pybuild with the bases in its store."""
    directory = tmp_path_factory.mktemp("pybuild")
    program = Pybuild(directory / "store", directory)
    for archive in bases.archives(directory):
        program("load", "-i", str(archive))
    return program


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_image(case: Case, program: Pybuild, tmp_path: Path) -> None:
    context = case.lay(tmp_path / "context")
    archive = tmp_path / "image.tar"
    program("build", "--network", "none", *case.options, "-o", f"type=docker,dest={archive}", str(context))
    same(case.expected, read(archive, bases.layers()), {})


# With steps of each kind, bases with triggers, ignore rules, and stages that are not built.
KNOWN = (
    "add-archives",
    "arguments",
    "copy-stages",
    "heredoc-copy",
    "ignore-rules",
    "onbuild-stage",
    "run-mounts",
    "times",
)


@pytest.mark.parametrize("case", [case for case in cases() if case.name in KNOWN], ids=lambda case: case.name)
def test_an_image_that_is_known(case: Case, program: Pybuild, tmp_path: Path) -> None:
    words = ("--network", "none", *case.options, str(case.lay(tmp_path / "context")))
    ends = [build(program, *words) for _ in range(3)]
    whole = build(program, *words, **WHOLE)
    assert (ends[2].answered, whole.answered) == (True, False)
    assert (ends[2].status, ends[2].out, ends[2].err) == (whole.status, whole.out, whole.err)
