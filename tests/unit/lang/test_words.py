from __future__ import annotations

import pytest

from builder.lang.words import WordError, expand, expand_heredoc
from tests.support.golden import CASES

ENV = {"A": "one", "E": "", "S": "a b"}
ROWS = [
    line.split(" | ", 1) if " | " in line else [line.removesuffix(" |"), ""]
    for line in (CASES / "words.txt").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("word", "wanted"), ROWS, ids=[row[0] for row in ROWS])
def test_a_word_expands(word: str, wanted: str) -> None:
    if wanted == "error":
        with pytest.raises(WordError):
            expand(word, ENV)
    else:
        assert expand(word, ENV) == wanted


def test_the_message_of_a_missing_variable_is_its_own() -> None:
    with pytest.raises(WordError, match="no value"):
        expand("${U:?no value}", ENV)


def test_another_escape_character() -> None:
    assert expand("`$A", ENV, escape="`") == "$A"
    assert expand(r"C:\$A", ENV, escape="`") == r"C:\one"


def test_a_heredoc_keeps_its_quotes() -> None:
    assert expand_heredoc("'$A' \"$A\" \\$A\n", ENV) == "'one' \"one\" $A\n"
