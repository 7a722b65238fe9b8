from __future__ import annotations

import re
from pathlib import Path

import pytest

from builder.errors import BuildfileError
from builder.graph.lower import LowerOptions
from builder.graph.stages import split
from builder.graph.walk import Ground, walk
from builder.image.platform import Platform
from builder.lang.ignore import Ignore
from builder.lang.lookups import nearest
from builder.lang.parser import parse
from builder.lang.source import Source
from builder.lint.file import File, Rule
from builder.lint.rules import RULES
from builder.lint.run import Finding, failure, findings, options_of
from tests.support.golden import CASES, check

AMD64 = Platform("linux", "amd64")
PAGES = Path(__file__).parents[3] / "docs" / "lint"
LINT = CASES / "lint"


def ground(image: str, platform: str) -> Ground:
    """Every image is known but `far-away`; those called so are for arm64 or have a shell."""
    if image.startswith("far-away"):
        return Ground(known=False)
    made_for = Platform("linux", "arm64") if "arm64" in image else AMD64
    return Ground((("PATH", "/bin"), ("TOOLS", "/tools")), "shell" in image, made_for)


def found(text: str, ignore: str = "", target: str = "", **build_args: str) -> tuple[Finding, ...]:
    source = Source("Buildfile", text)
    tree = parse(source)
    table = split(tree, source)
    options = LowerOptions(AMD64, AMD64, target, build_args)
    reached = frozenset([table.target(target).index] if target else range(len(table.stages)))
    walked = walk(table, tree.escape, options, ground)
    file = File(tree, walked, reached, Ignore.parse(ignore), str(AMD64))
    return findings(file, options_of(tree, source, build_args.get("BUILDKIT_DOCKERFILE_CHECK")))


def shown(all_found: tuple[Finding, ...]) -> str:
    """One line a finding: where, which rule, what."""
    places = (f"{f.line}" if f.line == f.end_line else f"{f.line}-{f.end_line}" for f in all_found)
    return "".join(f"{place} {f.rule}: {f.message}\n" for place, f in zip(places, all_found, strict=True))


def names(all_found: tuple[Finding, ...]) -> list[str]:
    return [f.rule for f in all_found]


def of_case(directory: Path) -> tuple[Finding, ...]:
    ignore = directory / ".dockerignore"
    return found((directory / "Buildfile").read_text(), ignore.read_text() if ignore.exists() else "")


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_bad_file_is_told_what_breaks_the_rule(rule: Rule, accept: bool) -> None:
    directory = LINT / rule.name / "bad"
    all_found = of_case(directory)
    assert rule.name in names(all_found)
    check(directory / "findings.txt", shown(all_found), accept)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_a_good_file_breaks_no_rule_at_all(rule: Rule) -> None:
    assert shown(of_case(LINT / rule.name / "good")) == ""


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_examples_of_a_page_are_what_it_calls_them(rule: Rule) -> None:
    page = (PAGES / f"{rule.name}.md").read_text()
    bad, good = re.findall(r"^```dockerfile\n((?s:.*?))^```$", page, re.MULTILINE)
    ignore = "".join(re.findall(r"^```text\n((?s:.*?))^```$", page, re.MULTILINE))
    assert rule.name in names(found(bad, ignore))
    assert rule.name not in names(found(good, ignore))


# --- which rules count -----------------------------------------------------------------------------

TWO = "FROM base AS Build\nCMD run\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TWO, ["StageNameCasing", "JSONArgsRecommended"]),
        (f"# check=skip=JSONArgsRecommended\n{TWO}", ["StageNameCasing"]),
        (f"#check = skip = StageNameCasing , JSONArgsRecommended ;error=true\n{TWO}", []),
        (f"# escape=\\\n# check=skip=all\n{TWO}", []),
        (f"# check=skip=Nobody\n{TWO}", ["StageNameCasing", "JSONArgsRecommended"]),
        ("FROM base\n# check=skip=JSONArgsRecommended\nCMD run\n", []),
        ("FROM base\n# check=skip=all;error=true\nCMD run\n", []),
        ("FROM base\n# check=skip=WorkdirRelativePath\n# check=skip=all\nCMD run\n", ["JSONArgsRecommended"]),
        ("FROM base\n# check=nonsense\nCMD run\n", ["JSONArgsRecommended"]),
        ("FROM base\n# pybuild: ignore=JSONArgsRecommended\nCMD run\n", []),
        ("FROM base\n# PYBUILD: ignore = Other , JSONArgsRecommended\n# why it is so\nCMD run\n", []),
        ("FROM base\n# pybuild: ignore=all\nCMD run\n", []),
        ("FROM base\n# pybuild: ignore=Other\nCMD run\n", ["JSONArgsRecommended"]),
        ("FROM base\n# pybuild: ignore=all\n\nCMD run\n", ["JSONArgsRecommended"]),
        ("FROM base\n# pybuild: ignore=all\n#\nCMD run\n", ["JSONArgsRecommended"]),
        ("FROM base\n# pybuild: ignore=all\nUSER a\nCMD run\n", ["JSONArgsRecommended"]),
        ("FROM base\n# odd\nARG a\n", []),
        ("FROM base\n# check=experimental=InvalidDefinitionDescription\nARG a\n", ["InvalidDefinitionDescription"]),
        ("# check=skip=all;experimental=all\nFROM base\n# odd\nARG a\nCMD x\n", ["InvalidDefinitionDescription"]),
        ("# check=experimental=all\nFROM base\n# pybuild: ignore=all\nARG a\n", []),
    ],
)
def test_rules_are_chosen(text: str, expected: list[str]) -> None:
    assert names(found(text)) == expected


def test_a_build_argument_takes_the_place_of_the_directive() -> None:
    text = f"# check=skip=JSONArgsRecommended\n{TWO}"
    assert names(found(text, BUILDKIT_DOCKERFILE_CHECK="skip=StageNameCasing")) == ["JSONArgsRecommended"]
    assert names(found(text, BUILDKIT_DOCKERFILE_CHECK="")) == ["StageNameCasing", "JSONArgsRecommended"]


@pytest.mark.parametrize("value", ["skipp=A", "skip", "error=yes", "error", "skip=A;;;x"])
def test_a_directive_that_cannot_be_meant_is_refused_with_its_place(value: str) -> None:
    with pytest.raises(BuildfileError) as caught:
        found(f"# syntax=x\n# check={value}\nFROM base\n")
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_what_is_found_can_be_an_error() -> None:
    source = Source("Buildfile", TWO)
    assert options_of(parse(source), source, "error=1").error
    error = failure(found(TWO), source)
    assert error.exit_code == 3
    assert "StageNameCasing, JSONArgsRecommended" in error.message
    assert str(error.where) == "Buildfile:1:1"


# --- what depends on the call ----------------------------------------------------------------------


def test_instructions_that_are_not_built_are_left_alone() -> None:
    text = "FROM base AS One\nCMD run\nFROM base AS two\nCMD run\n"
    assert [f.line for f in found(text)] == [1, 2, 4]
    assert [f.line for f in found(text, target="two")] == [1, 4]


def test_given_arguments_are_used_but_for_defaults() -> None:
    text = "ARG VERSION\nFROM base:$VERSION\nARG DIR=/a\nWORKDIR $DIR\nARG NEW=$old\n"
    assert names(found(text, VERSION="1")) == ["InvalidDefaultArgInFrom", "UndefinedVar"]
    assert names(found(text, VERSION="1", DIR="a", NEW="1")) == ["InvalidDefaultArgInFrom", "WorkdirRelativePath"]


def test_an_ignore_file_that_takes_back_is_not_judged() -> None:
    text = "FROM base\nCOPY x . /\n"
    assert names(found(text, ignore="x\n")) == ["CopyIgnoredFile"]
    assert names(found(text, ignore="*\n")) == ["CopyIgnoredFile", "CopyIgnoredFile"]
    assert found(text, ignore="*\n!y\n") == ()
    assert found("FROM base\nCOPY . / /all/\n", ignore=".*\n") == ()


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("PAHT", ["HOME", "PATH"], "PATH"),
        ("PATH", ["PATHS", "PATH"], ""),
        ("GOPATH", ["PATH"], "PATH"),
        ("XPATHS", ["PAT"], ""),
        ("ab", ["abc", "abcd"], "abc"),
        ("", ["a"], "a"),
        ("word", [], ""),
    ],
)
def test_the_nearest_name_is_one_or_two_letters_away(word: str, known: list[str], expected: str) -> None:
    assert nearest(word, known) == expected
