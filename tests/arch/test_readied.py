"""Whatever is read into by msgspec is made ready by one thread first: else two may crash (builder/readied.py)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

BUILDER = Path(__file__).parents[2] / "builder"
FILES = sorted(path for path in BUILDER.rglob("*.py") if path.name != "readied.py" and "msgspec" in path.read_text())


def kind(call: ast.Call) -> ast.expr | None:
    """The type that a call reads into, if it is such a call."""
    name = ast.unparse(call.func)
    typed = next((each.value for each in call.keywords if each.arg == "type"), None)
    if name in ("msgspec.json.decode", "msgspec.msgpack.decode"):
        return typed
    if name in ("msgspec.json.Decoder", "msgspec.msgpack.Decoder"):
        return typed or (call.args[0] if call.args else None)
    return (typed or call.args[1]) if name == "msgspec.convert" else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(BUILDER)))
def test_types_are_made_ready(path: Path) -> None:
    tree = ast.parse(path.read_text())
    kinds = [found for call in ast.walk(tree) if isinstance(call, ast.Call) and (found := kind(call)) is not None]
    assert [ast.unparse(each) for each in kinds if not ast.unparse(each).startswith("readied(")] == []
    names = [
        each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in ("msgspec", "msgspec.json", "msgspec.msgpack")
        for each in node.names
    ]
    assert not {"convert", "decode", "Decoder", "json", "msgpack"} & set(names)
