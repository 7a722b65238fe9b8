"""Every rule has a page, a bad and a good case, and a line in the list; and nothing else has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from builder.lint.file import Rule
from builder.lint.rules import RULES

TOP = Path(__file__).parents[2]
PAGES = TOP / "docs" / "lint"
CASES = TOP / "tests" / "cases" / "lint"
NAMES = [rule.name for rule in RULES]

rules = pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)


def test_names_are_given_once() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_every_rule_has_a_page_and_every_page_a_rule() -> None:
    assert sorted(p.stem for p in PAGES.glob("*.md")) == sorted([*NAMES, "index"])


def test_every_rule_has_cases_and_every_case_a_rule() -> None:
    assert sorted(p.name for p in CASES.iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert sorted(p.name for p in (CASES / name).iterdir()) == ["bad", "good"]


@rules
def test_a_page_says_what_the_rule_says(rule: Rule) -> None:
    page = (PAGES / f"{rule.name}.md").read_text()
    assert page.startswith(f"# {rule.name}\n\n{rule.sentence}.\n")
    assert ("Experimental: " in page) == rule.experimental
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["What is found", "Why", "Bad", "Good"]


def test_the_list_is_the_table_of_rules() -> None:
    listed = re.findall(
        r"^\| \[(\w+)\]\(\1\.md\)( \(experimental\))? \| (.+) \|$", (PAGES / "index.md").read_text(), re.M
    )
    assert listed == [(r.name, " (experimental)" if r.experimental else "", r.sentence) for r in RULES]
