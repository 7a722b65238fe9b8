from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from builder.cli.report import draw
from builder.errors import BuildfileError
from builder.lang import ast
from builder.lang.parser import parse, parse_instruction
from builder.lang.source import Source
from tests.support.golden import cases, check


def source(directory: Path) -> Source:
    return Source("Buildfile", (directory / "Buildfile").read_bytes().decode())


@pytest.mark.parametrize("case", cases("parse"), ids=lambda p: p.name)
def test_a_file_has_its_tree(case: Path, accept: bool) -> None:
    tree = parse(source(case))
    check(case / "ast.json", msgspec.json.format(msgspec.json.encode(tree), indent=1).decode() + "\n", accept)


@pytest.mark.parametrize("case", cases("parse"), ids=lambda p: p.name)
def test_a_tree_survives_being_remembered(case: Path) -> None:
    tree = parse(source(case))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tree), type=ast.Buildfile) == tree


@pytest.mark.parametrize("case", cases("parse_errors"), ids=lambda p: p.name)
def test_an_error_shows_its_place(case: Path, accept: bool) -> None:
    with pytest.raises(BuildfileError) as caught:
        parse(source(case))
    assert caught.value.where is not None
    check(case / "message.txt", draw(caught.value) + "\n", accept)


def test_a_trigger_is_one_instruction() -> None:
    assert isinstance(parse_instruction("RUN make", "trigger"), ast.Run)
    for text in ("ONBUILD RUN x", "FROM y", "MAINTAINER z", "RUN a\nRUN b"):
        with pytest.raises(BuildfileError):
            parse_instruction(text, "trigger")
