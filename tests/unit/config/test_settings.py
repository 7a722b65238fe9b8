from __future__ import annotations

from pathlib import Path

import pytest

from builder.api.cap import policy
from builder.config.settings import SETTINGS, Amount, settings
from builder.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_without_files_the_defaults_hold(tmp_path: Path) -> None:
    found = settings((str(tmp_path / "none.toml"),))
    assert found.keys() == SETTINGS.keys()
    assert all(value.where is None for value in found.values())
    cap = policy(found)
    assert cap.enabled
    assert cap.keep_bytes.of(500 << 30) == 50 << 30
    assert cap.keep_duration is None


def test_a_file_is_over_the_one_before_and_each_value_knows_its_place(tmp_path: Path, file: Path) -> None:
    system = tmp_path / "system.toml"
    system.write_text('[gc]\nkeep-bytes = "20GB"\nkeep-duration = "60d"\n')
    file.write_text("# mine\ngc.keep-bytes = 5_000\n")
    found = settings((str(system), str(file)))
    assert found["gc.keep-bytes"].value == Amount(5000)
    assert str(found["gc.keep-bytes"].where) == f"{file}:2:1"
    assert found["gc.keep-bytes"].said == 5000
    assert found["gc.keep-duration"].value == 60 * 86400
    assert str(found["gc.keep-duration"].where) == f"{system}:3:1"
    assert found["gc.enabled"].where is None


@pytest.mark.parametrize(
    ("said", "value"),
    [("0", Amount(0)), ('"1.5GB"', Amount(3 << 29)), ('"12 %"', Amount(percent=12.0)), ('"7"', Amount(7))],
)
def test_amounts(file: Path, said: str, value: Amount) -> None:
    file.write_text(f"[gc]\nkeep-bytes = {said}\n")
    assert settings((str(file),))["gc.keep-bytes"].value == value


@pytest.mark.parametrize(("said", "value"), [("48h", 172800.0), ("2d", 172800.0), ("never", None), ("0s", 0.0)])
def test_durations(file: Path, said: str, value: float | None) -> None:
    file.write_text(f'[gc]\nkeep-duration = "{said}"\n')
    assert settings((str(file),))["gc.keep-duration"].value == value


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('[gc]\nkeep-byte = "1G"\n', "2:1", "did you mean gc.keep-bytes?"),
        ("[gcc]\nx = 1\n", "1:2", "there is no setting gcc"),
        ('[gc]\nkeep-bytes = "lots"\n', "2:14", "20GB"),
        ("[gc]\nkeep-bytes = -1\n", "2:14", "cannot be -1"),
        ('[gc]\nkeep-bytes = "110%"\n', "2:14", "20GB"),
        ('[gc]\nenabled = "yes"\n', "2:11", "true or false"),
        ("[gc]\nkeep-duration = 5\n", "2:17", "60d"),
        ("[gc]\nmin-free = true\n", "2:12", "cannot be True"),
        ("gc = 3\n", "1:1", "there is no setting gc"),
        ("[gc]\nenabled = \n", "2:11", "not TOML"),
        ("[gc\n", "1:", "not TOML"),
        ("[gc.enabled]\nx = 1\n", "1:2", "cannot be"),
        ('"a b" = 1\n', "1:1", "there is no setting a b"),
    ],
)
def test_what_cannot_be_meant_so_is_told_with_its_place(file: Path, text: str, place: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        settings((str(file),))
    assert str(caught.value.where).startswith(f"{file}:{place}")
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_files_that_cannot_be_read_are_told(tmp_path: Path, file: Path) -> None:
    file.write_bytes(b"\xff\xfe[gc]")
    with pytest.raises(UsageError, match="UTF-8"):
        settings((str(file),))
    assert settings((str(tmp_path),)).keys() == SETTINGS.keys()  # a directory is no file
