"""Golden files: what a test gets, compared with what was accepted."""

from __future__ import annotations

from pathlib import Path

CASES = Path(__file__).parents[1] / "cases"


def check(path: Path, got: str, accept: bool) -> None:
    if accept:
        path.write_text(got)
    assert path.exists(), f"no golden file {path}: run make accept, and read what it writes"
    assert got == path.read_text()


def cases(kind: str) -> list[Path]:
    found = sorted(p.parent for p in (CASES / kind).glob("*/Buildfile"))
    assert found, kind
    return found
