"""What is said of command lines that cannot be meant so: a table, which `make accept` writes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from builder.cli import main as cli
from tests.support.golden import CASES, check
from tests.unit.cli.test_main import own_signals, work

__all__ = ["own_signals", "work"]

TABLE = CASES / "usage/errors.txt"
BUILDFILE = "FROM scratch AS base\nFROM base AS test\nCOPY Buildfile /\n"


def test_what_is_said(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, accept: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (work / "Buildfile").write_text(BUILDFILE)
    said = []
    for line in TABLE.read_text().splitlines():
        if not line.startswith("$ pybuild "):
            continue
        with pytest.raises(SystemExit) as ended:
            cli.main(shlex.split(line)[2:])
        shown = capsys.readouterr()
        assert ended.value.code in (2, 4, 125), line
        assert shown.out == "", line
        told = [text for text in shown.err.splitlines() if text and not text.startswith(("Usage:", "Try "))]
        said.append("\n".join([line, *told, f"({ended.value.code})", ""]))
    assert len(said) > 70
    check(TABLE, "\n".join(said), accept)
