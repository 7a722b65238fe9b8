"""Contexts are of the sizes that the cases name."""

from __future__ import annotations

from pathlib import Path

from benchmarks import contexts


def contents(top: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()]


def test_small_files_are_as_many_as_said_and_never_the_same(tmp_path: Path) -> None:
    data = contexts.copied(tmp_path / "one") / "data"
    contexts.fill_small(data, 250)
    before = contents(data)
    assert len(set(before)) == 250
    assert 3_500 < sum(map(len, before)) / 250 < 5_000, "20,000 of them have 85 MB"
    contexts.fill_small(data, 250)
    assert not set(before) & set(contents(data))


def test_small_files_of_one_seed_are_the_same(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        contexts.fill_small(tmp_path / name, 3, "seed")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_big_files_have_their_size_and_are_never_the_same(tmp_path: Path) -> None:
    contexts.fill_big(tmp_path, 2, 3_000_000)
    before = contents(tmp_path)
    assert [*map(len, before)] == [3_000_000, 3_000_000]
    contexts.fill_big(tmp_path, 2, 3_000_000)
    assert not set(before) & set(contents(tmp_path))


def test_a_step_writes_a_file_of_its_own(tmp_path: Path) -> None:
    text = (contexts.steps(tmp_path, 2, "word") / "Dockerfile").read_text()
    assert text == "FROM base\nRUN echo word > /step1\nRUN echo word > /step2\n"
