"""The images pybuild makes are those that the cases expect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import bases
from tests.conformance.case import Case, cases, same
from tests.support.facts import read
from tests.support.program import Pybuild


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
