"""Options, a clean environment, and the fixtures most tests build on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.program import Pybuild

# A machine that is busy with other tests is no reason for one to fail.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="rewrite golden files with what the tests got")


def pytest_configure() -> None:
    """A background job of a shell ignores SIGINT, and hands that on to every program a test starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the developer's shell reaches a test."""
    for name in list(os.environ):
        if name.startswith(
            (
                "PYBUILD_",
                "XDG_",
                "SOURCE_DATE_EPOCH",
                "DOCKER_CONFIG",
                "REGISTRY_AUTH_FILE",
                "GITHUB_ACTIONS",
                "GITLAB_CI",
                "NO_COLOR",
            )
        ) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--accept"))


@pytest.fixture
def pybuild(tmp_path: Path) -> Pybuild:
    """The program, on a store of the test's own, in an empty directory."""
    work = tmp_path / "work"
    work.mkdir()
    return Pybuild(tmp_path / "store", work)


@pytest.fixture
def as_user(tmp_path: Path) -> Pybuild:
    """The program as an ordinary user runs it, on a store of its own."""
    from tests.support.user import ordinary

    return ordinary(tmp_path / "user")
