"""`--print` as buildx writes it, for files that come from its documentation and tests: each case says which."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.cli.program import pybuild
from tests.support.golden import CASES, check

NAMES = sorted(path for path in (CASES / "bake").iterdir() if path.is_dir())


@pytest.mark.parametrize("case", NAMES, ids=lambda path: path.name)
def test_print(case: Path, monkeypatch: pytest.MonkeyPatch, accept: bool) -> None:
    monkeypatch.chdir(case)
    words = (case / "words.txt").read_text().split() if (case / "words.txt").exists() else []
    done = CliRunner().invoke(pybuild, ["bake", "--print", *words], standalone_mode=False, catch_exceptions=False)
    check(case / "print.json", done.output, accept)
