from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.lang.ignore import Ignore
from tests.support.golden import CASES


def blocks() -> list[tuple[str, str, bool]]:
    found, rules = [], []
    reading_rules = False
    for line in (CASES / "ignore.txt").read_text().splitlines()[1:]:
        if line == "rules:":
            rules, reading_rules = [], True
        elif " -> " in line:
            reading_rules = False
            path, _, state = line.partition(" -> ")
            found.append(("\n".join(rules), path, state == "hidden"))
        elif reading_rules:
            rules.append(line)
    return found


@pytest.mark.parametrize(("rules", "path", "hidden"), blocks())
def test_a_path_is_hidden(rules: str, path: str, hidden: bool) -> None:
    assert Ignore.parse(rules).excluded(path) is hidden


def test_a_hidden_directory_may_show_something() -> None:
    rules = Ignore.parse("a\n!a/b/c")
    assert rules.may_reinclude_below("a")
    assert not Ignore.parse("a").may_reinclude_below("a")


@pytest.mark.parametrize(
    ("text", "below"),
    [("a\n!**/x", True), ("a\n!a*/x", True), ("a\n!b/c", False), ("a\n!a", False), ("*\n!a/b/*.c", True)],
)
def test_where_to_look_further(text: str, below: bool) -> None:
    assert Ignore.parse(text).may_reinclude_below("a") is below


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a.log", "rules:3 (*.log)"),
        ("build/deep/x", "rules:2 (/build/)"),
        ("build/keep/x.tmp", "rules:6 (**/*.tmp)"),
    ],
)
def test_the_line_that_hides_a_path_is_known(path: str, place: str) -> None:
    rules = Ignore.parse("# comment\n/build/\n  *.log  \r\n\n!build/keep\n**/*.tmp\n", "rules")
    rule = rules.hiding(path)
    assert rule is not None
    assert rules.place(rule) == place
    assert rules.hiding("build/keep/x") is None


def test_a_pattern_full_of_stars_ends() -> None:
    rules = Ignore.parse("**/" * 40 + "x*y\n" + "*" * 200 + "z")
    assert not rules.excluded("a/" * 50 + "b")


@pytest.mark.parametrize("text", ["!", "ok\n!", "[", "a[z-a]"])
def test_a_bad_line_is_named(text: str) -> None:
    with pytest.raises(BuildfileError) as caught:
        Ignore.parse(text)
    assert caught.value.where is not None
    assert caught.value.where.line == len(text.split("\n"))
