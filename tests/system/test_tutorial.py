"""Pages to be typed along are typed along."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.walkthrough import Command, File, follow, pattern, read

DOCS = Path(__file__).parents[2] / "docs"


def test_the_tutorial(tmp_path: Path) -> None:
    follow(DOCS / "tutorial.md", "tutorial", tmp_path, {**os.environ, "PYBUILD_ROOT": str(tmp_path / "store")})


def test_what_a_project_may_not_set(tmp_path: Path) -> None:
    follow(DOCS / "configuration.md", "project", tmp_path, dict(os.environ))


def test_nothing_but_what_is_expected_passes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```file a b\nc\n```\n```console a\n$ cat b\nd\n```\n```console other\n$ false\n```\n")
    assert [*read(page, "a")] == [File("b", "c\n"), Command("cat b", "d\n", 0)]
    with pytest.raises(AssertionError, match="is not as"):
        follow(page, "a", tmp_path, dict(os.environ))
    with pytest.raises(AssertionError, match="false"):
        follow(page, "other", tmp_path, dict(os.environ))
    assert pattern("a\n…\nb … c\n").fullmatch("a\nx\ny\nb 1 c\n")
    assert not pattern("a\n…\nb … c\n").fullmatch("a\nb 1 c\nd\n")
