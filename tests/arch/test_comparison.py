"""The page that compares has the differences that the conformance tests allow, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.arch.test_docs import DOCS, TOP, code
from tests.conformance.case import cases

PAGE = DOCS / "comparison.md"
SLOW = "slow, and BuildKit in dockerd answers all of it"


def told(peer: str) -> str:
    """What stands between the marks of `peer`."""
    everything = cases()
    asked = [case for case in everything if peer not in case.without]
    differing = [case for case in asked if peer in case.differs]
    lines = [
        f"Of {len(everything)} cases {len(asked)} are built by both; in {len(asked) - len(differing)} of these nothing "
        "differs.",
        "",
        "| what it makes otherwise | in |",
        "|---|---|",
        *_rows((why, case.name) for case in differing for why in case.differs[peer].values()),
        "",
        "| not compared, since | |",
        "|---|---|",
        *_rows((case.without[peer], case.name) for case in everything if peer in case.without),
    ]
    return "\n".join(lines)


def _rows(reasons: Iterator[tuple[str, str]]) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for why, name in reasons:
        if name not in found.setdefault(why, []):
            found[why].append(name)
    for why, names in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        yield f"| {why} | {', '.join(names) if why != SLOW else len(names)} |"


@pytest.mark.parametrize("peer", ["dockerd", "buildah"])
def test_what_differs_is_told(peer: str, accept: bool) -> None:
    text = PAGE.read_text()
    block = f"<!-- {peer} -->\n{told(peer)}\n<!-- end -->"
    if accept:
        PAGE.write_text(re.sub(rf"<!-- {peer} -->\n(?s:.*?)<!-- end -->", lambda _: block, text))
    assert block in PAGE.read_text()


def test_tests_that_are_named_are_there() -> None:
    named = [text for text in code(PAGE.read_text()) if text.startswith("tests/")]
    assert len(named) > 5
    assert all((TOP / path).exists() for path in named)
