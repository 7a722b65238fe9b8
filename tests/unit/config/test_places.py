from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.config import places


def test_where_files_are() -> None:
    system = "/etc/pybuild/config.toml"
    assert places.files({"HOME": "/home/me"}) == (system, "/home/me/.config/pybuild/config.toml")
    assert places.files({"XDG_CONFIG_HOME": "/cfg"}) == (system, "/cfg/pybuild/config.toml")
    assert places.files({"XDG_CONFIG_HOME": "cfg", "HOME": "/h"}) == (system, "/h/.config/pybuild/config.toml")


def test_a_project_begins_where_git_does(tmp_path: Path) -> None:
    deep = tmp_path / "repository/services/api"
    deep.mkdir(parents=True)
    assert places.project(str(deep)) is None
    outside = tmp_path / ".pybuild.toml"
    outside.touch()
    assert places.project(str(deep)) == str(outside)
    (tmp_path / "repository/.git").touch()  # of a work tree it is a file
    assert places.project(str(deep)) is None
    own = tmp_path / "repository/.pybuild.toml"
    own.touch()
    assert places.project(str(deep)) == str(own)
    nearer = deep / ".pybuild.toml"
    nearer.touch()
    assert places.project(str(deep)) == str(nearer)


@pytest.mark.root
def test_what_others_have_put_there_is_no_project(tmp_path: Path) -> None:
    (tmp_path / ".pybuild.toml").touch()
    os.chown(tmp_path / ".pybuild.toml", 12345, 12345)
    assert places.project(str(tmp_path)) is None


def test_a_directory_that_is_gone_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert places.project() is None


def test_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    before = places.contents()
    user = tmp_path / "config/pybuild/config.toml"
    user.parent.mkdir(parents=True)
    user.write_bytes(b"a = 1")
    (tmp_path / ".pybuild.toml").mkdir()
    assert places.contents() == [*before, (str(user), b"a = 1"), (str(tmp_path / ".pybuild.toml"), b"")]
