"""Every error on the page of errors is one the program can say, in these words."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.arch.test_docs import DOCS, code, rows

BUILDER = Path(__file__).parents[2] / "builder"
TOLD = [code(row[0])[0] for row in rows((DOCS / "troubleshooting.md").read_text()) if row[0].startswith("`")]


def said(node: ast.expr) -> str | None:
    """The text of a string, with … for what is put in; of strings that are added, all of it."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(said(value) or "…" for value in values)
        case _:
            return None


TEXTS = [
    text
    for path in BUILDER.rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.expr) and (text := said(node)) is not None
]


@pytest.mark.parametrize("message", TOLD)
def test_the_program_says_so(message: str) -> None:
    assert any(message.removesuffix("…") in text for text in TEXTS)


def test_there_are_some() -> None:
    assert len(TOLD) > 25
