from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.lang.shellpattern import LONGEST, BadPatternError, ShellPattern
from builder.lang.words import WordError, expand, expand_heredoc

ENV = {"a": "one", "b": "", "c": "a*b?c/d", "long": "ab" * 40, "ž": "x"}
_PIECES = ["$", "${", "}", "a", "b", "c", "long", "unset", ":", "-", "+", "?", "#", "%", "/", "*", "'", '"', "\\", " "]
words = st.lists(st.sampled_from([*_PIECES, "`", "ž", "\n", "1", "@", "${a", "$a", ":-"]), max_size=25).map("".join)


@settings(max_examples=250, deadline=None)
@given(st.one_of(words, st.text(max_size=40)), st.sampled_from(["\\", "`"]))
def test_a_word_expands_or_says_why_not(word: str, escape: str) -> None:
    try:
        got = expand(word, ENV, escape=escape)
    except WordError as error:
        assert error.message
    else:
        assert isinstance(got, str)


@settings(max_examples=100, deadline=None)
@given(st.text().filter(lambda text: not set(text) & set("$'\"\\")))
def test_a_plain_word_stays(word: str) -> None:
    assert expand(word, ENV) == word
    assert expand_heredoc(word, ENV) == word


@settings(max_examples=150, deadline=None)
@given(words)
def test_a_heredoc_expands_as_a_word_whose_quotes_are_escaped(word: str) -> None:
    if "{" in word:  # inside braces both kinds of quotes mean something
        return
    body = expand_heredoc(word, ENV)
    assert body == expand(re.sub(r"(\\.)|(['\"])", lambda m: m[1] or "\\" + m[2], word, flags=re.DOTALL), ENV)


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text())
def test_quotes_protect(text: str, value: str) -> None:
    single = "'" + text.replace("'", "'\\''") + "'"
    double = '"' + re.sub(r'([$"\\])', r"\\\1", text) + '"'
    bare = re.sub(r"([$'\"\\])", r"\\\1", text)
    assert expand(single, {}) == expand(double, {}) == expand(bare, {}) == text
    assert expand('"$v"${v}', {"v": value}) == value * 2


_PATTERN = st.lists(
    st.sampled_from(["a", "b", ".", "[", "*", "?", "\\*", "\\?", "\\\\", "\\}", "\\/", "^", "\n"]), max_size=6
)
_VALUE = st.text("ab.[*?\\}/^\n", max_size=12)


def reference(pieces: list[str], *, greedy: bool) -> str:
    """The pattern as a regular expression that backtracks, as a shell would be specified."""
    star = ".*" if greedy else ".*?"
    return "".join(star if p == "*" else "." if p == "?" else re.escape(p[-1]) for p in pieces)


@settings(max_examples=250, deadline=None)
@given(_PATTERN, _VALUE, st.booleans())
def test_a_prefix_is_what_a_regular_expression_finds(pieces: list[str], value: str, longest: bool) -> None:
    match = re.match(reference(pieces, greedy=longest), value, re.DOTALL)
    wanted = value if match is None else value[match.end() :]
    assert ShellPattern("".join(pieces), "\\").trimmed(value, suffix=False, longest=longest) == wanted


@settings(max_examples=250, deadline=None)
@given(_PATTERN, _VALUE, st.booleans())
def test_a_suffix_is_the_shortest_or_longest_that_matches(pieces: list[str], value: str, longest: bool) -> None:
    whole = re.compile(reference(pieces, greedy=True) + r"\Z", re.DOTALL)
    starts = [start for start in range(len(value) + 1) if whole.match(value, start)]
    wanted = value[: starts[0 if longest else -1]] if starts else value
    assert ShellPattern("".join(pieces), "\\").trimmed(value, suffix=True, longest=longest) == wanted


@settings(max_examples=250, deadline=None)
@given(_PATTERN, _VALUE, _VALUE, st.booleans())
def test_a_replacement_is_a_regular_expressions(pieces: list[str], value: str, text: str, every: bool) -> None:
    wanted = re.sub(reference(pieces, greedy=True), lambda _: text, value, count=0 if every else 1, flags=re.DOTALL)
    assert ShellPattern("".join(pieces), "\\").replaced(value, text, every=every) == wanted


def test_an_escape_that_protects_nothing_is_no_pattern() -> None:
    for pattern in ("\\a", "x\\", "\\[x]"):
        with pytest.raises(BadPatternError):
            ShellPattern(pattern, "\\")


@pytest.mark.parametrize("word", ["$v" * 40_000, "${v:+$v}" * 40_000, "${v//v/$v$v}" * 40_000, "${w//x/$v}"])
def test_variables_do_not_fill_the_memory(word: str) -> None:
    env = {"v": "v" * 1000, "w": "x" * 100_000}
    with pytest.raises(WordError, match=f"longer than {LONGEST}"):
        expand(word, env)


def test_a_value_doubled_in_every_line_is_refused() -> None:
    value = "x" * 1000
    with pytest.raises(WordError, match="longer"):
        for _ in range(64):
            value = expand("$v$v", {"v": value})
    assert len(value) <= LONGEST
