"""The images that the cases expect are those of the BuildKit in Debian's dockerd.

With --accept they become what BuildKit makes, except in what a case says that this BuildKit, older than pybuild's
model, makes otherwise: that is written by hand from BuildKit's reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import bases
from tests.conformance.case import Case, cases, is_allowed, same
from tests.support.dockerd import Dockerd
from tests.support.facts import Facts, read

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    directory = tmp_path_factory.mktemp("dockerd")
    with Dockerd(directory) as daemon:
        for archive in bases.archives(directory):
            daemon.load(archive)
        yield daemon


@pytest.mark.parametrize("case", cases("dockerd"), ids=lambda case: case.name)
def test_image(case: Case, dockerd: Dockerd, tmp_path: Path, accept: bool) -> None:
    archive = tmp_path / "image.tar"
    dockerd.build(case.lay(tmp_path / "context"), case.options, archive)
    got = read(archive, bases.layers())
    older = case.differs.get("dockerd", {})
    if accept:
        _accept(case, got, older)
    same(_older(case.expected), got, older)


def _older(facts: Facts) -> Facts:
    """The history without the flags that this BuildKit does not tell of yet."""
    return {name: _untold(fact) if name.startswith("history ") else fact for name, fact in facts.items()}


def _untold(event: str) -> str:
    return re.sub(r"^(layer (?:COPY|ADD)) (?:--ch(?:own|mod)=\S+ )+", r"\1 ", event)


def _accept(case: Case, got: Facts, older: dict[str, str]) -> None:
    before = case.expected if case.golden.exists() else {}
    told = {name for name, fact in _older(before).items() if got.get(name) == fact}
    kept = {name: fact for name, fact in before.items() if name in told or is_allowed(name, older)}
    case.accept({name: fact for name, fact in got.items() if not is_allowed(name, older)} | kept)
