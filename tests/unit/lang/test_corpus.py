"""Realistic Buildfiles of all forms: their trees, graphs and configs, as accepted by a reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from builder.digest import Digest
from builder.errors import PybuildError
from builder.graph.render import render
from builder.graph.vertex import Graph, Origin
from builder.image.platform import Platform
from builder.lang import ast
from builder.lang.parser import parse
from tests.support import corpus
from tests.support.golden import check

FILES = corpus.files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_has_its_tree(path: Path, accept: bool) -> None:
    """One line for the directives, then one for each instruction."""
    tree = parse(corpus.source(path))
    head = msgspec.structs.replace(tree, instructions=())
    lines = [msgspec.json.encode(part).decode() for part in (head, *tree.instructions)]
    check(corpus.DIRECTORY / "ast" / f"{path.stem}.jsonl", "\n".join(lines) + "\n", accept)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tree), type=ast.Buildfile) == tree


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_has_its_graph(path: Path, accept: bool) -> None:
    """The picture of it, one line for each vertex, then the config and its history."""
    try:
        got = shown(corpus.built(corpus.source(path)))
    except PybuildError as error:
        got = f"{type(error).__name__} {error.where}: {error.message}"
    check(corpus.DIRECTORY / "graph" / f"{path.stem}.txt", got + "\n", accept)


def shown(graph: Graph) -> str:
    document = graph.targets[0].config.document()
    history = document.pop("history", [])
    return "\n".join(
        [
            render(graph, "text"),
            *(
                f"{number} {type(vertex).__name__} {text(facts(vertex))}"
                for number, vertex in enumerate(graph.vertices)
            ),
            text(document),
            *(f"{'empty' if entry.get('empty_layer') else 'layer'} {entry['created_by']}" for entry in history),
            *(f"warning {message}" for message, _ in graph.warnings),
        ]
    )


def facts(value: Any) -> Any:
    """What of a value is not as it is by default, as plain data; where it comes from is shown already."""
    match value:
        case Platform() | Digest():
            return str(value)
        case Struct():
            fields = {field.name: field.default for field in msgspec.structs.fields(value)}
            found = {name: getattr(value, name) for name in fields}
            return {n: facts(v) for n, v in found.items() if v != fields[n] and not isinstance(v, Origin)}
        case tuple():
            return [facts(item) for item in value]
        case bytes():
            return value.decode(errors="surrogateescape")
        case _:
            return value


def text(plain: Any) -> str:
    return msgspec.json.encode(plain).decode()
