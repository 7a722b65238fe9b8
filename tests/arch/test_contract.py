"""The rules of the house, run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
BUILDER = sorted((TOP / "builder").rglob("*.py"))


def test_imports_go_one_way_down() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", BUILDER, ids=lambda p: str(p.relative_to(TOP)))
def test_each_module_says_what_it_is_and_stays_small(path: Path) -> None:
    text = path.read_text()
    assert text.startswith('"""'), "the first line says what the module is"
    assert len(text.splitlines()) <= 400, "does it hold two things?"


@pytest.mark.parametrize("path", BUILDER, ids=lambda p: str(p.relative_to(TOP)))
def test_late_imports_are_declared(path: Path) -> None:
    """An import inside a function says why, by the word `lazy` close above it."""
    lines = path.read_text().splitlines()
    if path.parent.name == "cli":
        return  # every command imports what it needs when it is called: that is the rule there
    for number, line in enumerate(lines):
        if re.match(r"\s+(import |from \S+ import)", line) and "TYPE_CHECKING" not in _opening(lines, number):
            above = "\n".join(lines[max(0, number - 6) : number])
            assert "lazy" in above, f"{path.name}:{number + 1}: {line.strip()}"


def _opening(lines: list[str], number: int) -> str:
    """The line that opens the block which the line of that number is in."""
    depth = len(lines[number]) - len(lines[number].lstrip())
    return next(line for line in lines[number::-1] if line and len(line) - len(line.lstrip()) < depth)


def test_only_the_parsers_import_lark() -> None:
    users = [p for p in BUILDER if re.search(r"^\s*(from|import) lark", p.read_text(), re.MULTILINE)]
    assert [str(p.relative_to(TOP)) for p in users] == ["builder/bake/parser.py", "builder/lang/parser.py"]
