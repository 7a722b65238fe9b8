"""The trees and configs that the cases expect are those that buildah makes, too, where it follows BuildKit's rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import bases
from tests.conformance.case import Case, cases, same
from tests.support.buildah import Buildah
from tests.support.facts import merged, read

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Buildah:
    directory = tmp_path_factory.mktemp("buildah")
    program = Buildah(directory)
    for archive in bases.archives(directory):
        program.load(archive)
    return program


@pytest.mark.parametrize("case", cases("buildah"), ids=lambda case: case.name)
def test_image(case: Case, buildah: Buildah, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    buildah.build(case.lay(tmp_path / "context"), case.options, archive)
    got = merged(read(archive, bases.layers()), bases.layers())
    expected = merged(case.expected, bases.layers())
    # buildah knows no ArgsEscaped, and puts its version among the labels
    expected.pop("config ArgsEscaped", None)
    labels = got.pop("config Labels", {})
    labels.pop("io.buildah.version", None)
    if labels:
        got["config Labels"] = labels
    same(expected, got, case.differs.get("buildah", {}))
