from __future__ import annotations

import posixpath
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.lang.ignore import Ignore
from builder.lang.patterns import compile_match, has_magic, literal

_NAME = st.text("ab-]^", min_size=1, max_size=4)
_PATTERN = st.lists(
    st.sampled_from(["a", "b", "-", "*", "?", "/", "[ab]", "[^a]", "[a-b]", "[^-]", "\\*", "\\a", "[", "]", "^"]),
    max_size=6,
).map("".join)


def matches(pattern: str, name: str) -> bool:
    """Go's filepath.Match, written out: the first part of the pattern against every beginning of the name."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        rest = pattern.lstrip("*")
        return any(matches(rest, name[end:]) for end in range(len(name) + 1) if "/" not in name[:end])
    if not name:
        return False
    if pattern[0] == "?":
        return name[0] != "/" and matches(pattern[1:], name[1:])
    if pattern[0] == "[":
        found, rest = in_class(pattern[1:].removeprefix("^"), name[0])
        return name[0] != "/" and found != (pattern[1] == "^") and matches(rest, name[1:])
    if pattern[0] == "\\":
        pattern = pattern[1:]
    return pattern[0] == name[0] and matches(pattern[1:], name[1:])


def in_class(pattern: str, character: str) -> tuple[bool, str]:
    """Whether the class that `pattern` begins with, after its bracket, has the character; and what follows it."""

    def one(rest: str) -> tuple[str, str]:
        rest = rest.removeprefix("\\")
        return rest[0], rest[1:]

    found, first = False, True
    while first or pattern[0] != "]":
        low, pattern = one(pattern)
        high = low
        if pattern[0] == "-":
            high, pattern = one(pattern[1:])
        found, first = found or low <= character <= high, False
    return found, pattern[1:]


@settings(max_examples=150, deadline=None)
@given(_PATTERN, st.text("ab-^]*/", max_size=6))
@example("[[a-b]", "a")
def test_a_pattern_matches_as_gos(pattern: str, name: str) -> None:
    try:
        matcher = compile_match(pattern)
    except BuildfileError:
        assert "[" in pattern  # nothing else can be malformed here
        return
    assert (matcher.match(name) is not None) == matches(pattern, name)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=20))
@example("\\\n")
def test_any_text_is_a_pattern_or_an_error(pattern: str) -> None:
    try:
        matcher = compile_match(pattern)
    except BuildfileError as error:
        assert error.message
    else:
        assert has_magic(pattern) or matcher.match(literal(pattern))


_RULE = st.builds(
    "{}{}".format,
    st.sampled_from(["", "", "!"]),
    st.lists(st.sampled_from(["a", "b", "ab", "*", "**", "?b", "a*"]), min_size=1, max_size=3).map("/".join),
)
_PATH = st.lists(st.sampled_from(["a", "b", "ab", "bb"]), min_size=1, max_size=4).map("/".join)


def hidden(rules: list[str], path: str) -> bool:
    """What a walk from the top finds: a rule that turned the verdict about a directory is in force below it."""
    parts = path.split("/")
    in_force = [False] * len(rules)
    verdict = False
    for end in range(1, len(parts) + 1):
        verdict = False
        for index, rule in enumerate(rules):
            negated = rule.startswith("!")
            if not in_force[index] and negated == verdict:
                in_force[index] = covers(rule.removeprefix("!").split("/"), parts[:end])
            if in_force[index]:
                verdict = not negated
    return verdict


def covers(pattern: list[str], parts: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(parts)
        return any(covers(pattern[1:], parts[end:]) for end in range(len(parts) + 1))
    if not parts:
        return False
    one = re.escape(pattern[0]).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    return re.fullmatch(one, parts[0]) is not None and covers(pattern[1:], parts[1:])


@settings(max_examples=150, deadline=None)
@given(st.lists(_RULE, max_size=5), _PATH)
def test_ignore_rules_decide_as_written_out(rules: list[str], path: str) -> None:
    ignore = Ignore.parse("\n".join(rules))
    assert ignore.excluded(path) == hidden(rules, path)


@settings(max_examples=150, deadline=None)
@given(st.lists(_RULE, max_size=5), st.lists(_PATH, max_size=6))
def test_a_directory_that_may_show_nothing_shows_nothing(rules: list[str], paths: list[str]) -> None:
    """The walk leaves out what it may: whatever is shown is found on the way down."""
    ignore = Ignore.parse("\n".join(rules))
    for path in paths:
        if ignore.excluded(path):
            continue
        above = posixpath.dirname(path)
        while above:
            assert not ignore.excluded(above) or ignore.may_reinclude_below(above)
            above = posixpath.dirname(above)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_any_ignore_file_is_read_or_an_error_with_its_line(text: str) -> None:
    try:
        ignore = Ignore.parse(text)
    except BuildfileError as error:
        assert error.where is not None
        assert error.where.line >= 1
    else:
        ignore.excluded("a/b")
