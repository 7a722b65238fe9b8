"""What variables and files say of options, by way of click."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from builder.cli import defaults
from builder.cli.help import Command, command
from builder.cli.program import pybuild
from builder.errors import UsageError


@command(name="build")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=4)
@click.option("--tag", "tags", multiple=True)
@click.option("--progress", envvar="PYBUILD_PROGRESS", default="auto")
@click.option("--push", is_flag=True)
@click.option("--root")
def toy(**given: Any) -> dict[str, Any]:
    """Give what it is given."""
    return given


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "pybuild/config.toml"
    path.parent.mkdir()
    return path


def called(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = toy.main([*words], standalone_mode=False)
    return found


def test_the_command_line_then_variables_then_files(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called()["jobs"] == 4
    user.write_text('[defaults.build]\njobs = 2\ntag = ["a", "b"]\nprogress = "plain"\npush = true\n')
    assert called() == {"jobs": 2, "tags": ("a", "b"), "progress": "plain", "push": True, "root": None}
    monkeypatch.setenv("PYBUILD_PROGRESS", "quiet")
    monkeypatch.setenv("PYBUILD_BUILD_JOBS", "3")
    monkeypatch.setenv("PYBUILD_BUILD_TAG", "c d")
    monkeypatch.setenv("PYBUILD_BUILD_PUSH", "0")
    assert called() == {"jobs": 3, "tags": ("c", "d"), "progress": "quiet", "push": False, "root": None}
    monkeypatch.setenv("PYBUILD_BUILD_PROGRESS", "tty")
    assert called("--jobs", "5", "--tag", "e", "--push") == {
        "jobs": 5,
        "tags": ("e",),
        "progress": "tty",
        "push": True,
        "root": None,
    }


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ("jobs = 0", "--jobs cannot be 0", "0 is not in the range 1<=x<=64."),
        ('jobs = "many"', "--jobs cannot be 'many'", "not a valid integer"),
        ("jobs = true", "--jobs cannot be True", "use a string, or a number"),
        ("push = 1", "--push cannot be 1", "use true or false"),
        ('progress = ["a", "b"]', "--progress cannot be ['a', 'b']", "use a string, or a number"),
        ("tag = [true]", "--tag cannot be [True]", "use a string, or a number"),
        ("tag = 1979-05-27", "--tag cannot be datetime.date(1979, 5, 27)", "use a string, or a number"),
        ("job = 1", "build has no option --job", "did you mean jobs?"),
        ('root = "/"', "build has no option --root", "there are jobs, tag, progress, push"),
    ],
)
def test_what_cannot_be_meant_so_is_told_with_its_place(user: Path, said: str, message: str, hint: str) -> None:
    user.write_text(f"[defaults.build]\n{said}\n")
    with pytest.raises(UsageError) as caught:
        called()
    assert caught.value.message == message
    assert hint in str(caught.value.hint)
    assert str(caught.value.where).startswith(f"{user}:2:")


def test_a_command_that_there_is_not(user: Path) -> None:
    user.write_text("[defaults.biuld]\njobs = 1\n")
    with pytest.raises(UsageError) as caught:
        called()
    assert (caught.value.message, caught.value.hint) == ("there is no command biuld", "did you mean build?")


def commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        yield f"{above}{name}", found
        if isinstance(found, click.Group):
            yield from commands(found, f"{above}{name}.")


ALL = dict(commands(pybuild))


@pytest.mark.parametrize("path", ALL)
def test_every_command_is_called_in_files_as_it_is_called(path: str) -> None:
    found = ALL[path]
    assert found.name == path.rpartition(".")[2]
    assert isinstance(found, click.Group | Command)


def test_no_variable_says_two_things() -> None:
    names = [
        defaults.variables(path, name, option)[0]
        for path, each in ALL.items()
        if not isinstance(each, click.Group)
        for name, option in defaults.settable(each).items()
    ]
    taken = {
        "PYBUILD_ROOT",
        "PYBUILD_TIER",
        "PYBUILD_ASSEMBLER",
        "PYBUILD_PROGRESS",
        "PYBUILD_OFFLINE",
        "PYBUILD_DEBUG",
    }
    assert len(set(names)) == len(names)
    assert not taken & set(names)
