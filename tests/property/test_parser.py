"""What holds for every Buildfile that can be parsed: the corpus, and instructions put together at random."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from builder.errors import BuildfileError
from builder.lang import ast
from builder.lang.parser import parse
from builder.lang.source import Source, Span
from tests.support import corpus

_WORD = st.text("ab/.-_$'\"\\[]{}:=#<>,1 ", min_size=1, max_size=10)
_LINE = st.builds(
    "{} {}".format,
    st.sampled_from(
        [
            "RUN",
            "copy",
            "ADD",
            "ENV",
            "LABEL",
            "ARG",
            "WORKDIR",
            "USER",
            "CMD",
            "EXPOSE",
            "VOLUME",
            "ONBUILD RUN",
            "FROM",
        ]
    ),
    st.lists(_WORD | st.sampled_from(["--x", "--from=a", "a=b", '["a"]', "\\\n", "\\\n# c\n", "\t"]), max_size=4).map(
        " ".join
    ),
)
_TEXT = st.lists(_LINE, min_size=1, max_size=4).map("\n".join)


def pieces(source: Source, tree: ast.Buildfile) -> list[str]:
    """The text of each instruction, its span checked to lie in the file."""
    lines = source.text.removeprefix("\ufeff").split("\n")
    found = []
    before = (1, 0)
    for span in (instruction.span for instruction in tree.instructions):
        assert before < (span.line, span.column) < (span.end_line, span.end_column)
        assert span.end_line <= len(lines)
        assert span.end_column <= len(lines[span.end_line - 1]) + 1
        part = lines[span.line - 1 : span.end_line]
        part[-1] = part[-1][: span.end_column - 1]
        part[0] = part[0][span.column - 1 :]
        found.append("\n".join(part))
        before = span.end_line, span.end_column - 1
    return found


def same_again(source: Source) -> None:
    """Each instruction's text, cut out by its span and parsed alone, gives the same instruction."""
    tree = parse(source)
    head = "# escape=`\n" if tree.escape == "`" else ""
    nowhere = Span(0, 0, 0, 0)
    for text, instruction in zip(pieces(source, tree), tree.instructions, strict=True):
        (again,) = parse(Source("again", head + text)).instructions
        assert again.blank == 0 or instruction.blank > 0  # those at its end are not in its span
        assert replace(again, span=nowhere, blank=0) == replace(instruction, span=nowhere, blank=0, comments=())


@pytest.mark.parametrize("path", corpus.files(), ids=lambda path: path.stem)
def test_spans_of_the_corpus_hold_their_instructions(path: Path) -> None:
    same_again(corpus.source(path))


@settings(max_examples=250, deadline=None)
@given(_TEXT)
def test_spans_hold_their_instructions(text: str) -> None:
    source = Source("Buildfile", text)
    try:
        parse(source)
    except BuildfileError as error:
        assert error.where is not None
        assert 1 <= error.where.line <= text.count("\n") + 1
    else:
        same_again(source)
