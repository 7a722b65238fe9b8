from __future__ import annotations

import pytest

from builder.lang.words import WordError, expand, expand_heredoc
from tests.support.golden import CASES

ENV = {"A": "one", "E": "", "S": "a b", "P": "a/b/c.tar.gz", "T": "*b*c"}
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


def test_a_heredoc_keeps_its_quotes_and_loses_its_backslashes() -> None:
    assert expand_heredoc("'$A' \"$A\" \\$A\n", ENV) == "'one' \"one\" $A\n"
    assert expand_heredoc("\\\n", ENV) == "\n"
    assert expand_heredoc("\\\\ \\n\n", ENV) == "\\ n\n"


@pytest.mark.parametrize("operator", ["#", "##", "%", "%%", "/", "//"])
def test_many_stars_and_a_long_value_end_soon(operator: str) -> None:
    word = "${V" + operator + "*a" * 30 + "b" + ("/x}" if "/" in operator else "}")
    assert expand(word, {"V": "a" * 100_000}) == "a" * 100_000
