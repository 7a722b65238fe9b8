from __future__ import annotations

import base64
import json

import msgspec

from builder.errors import BuildfileError, Where
from builder.lang.source import Source
from builder.lint.report import document, text
from builder.lint.run import Finding

SOURCE = Source("Buildfile", "FROM base\nRUN a\\\n b\nCMD run\n\n\n\n\n\nUSER x")


def finding(first: int, last: int) -> Finding:
    return Finding("SomeRule", "Some rule", "https://example.com/some-rule/", "it is broken", first, last)


def test_nothing_is_said_to_be_nothing() -> None:
    assert text((), SOURCE) == "Check complete, no warnings found."


def test_a_finding_is_shown_with_its_lines() -> None:
    assert text((finding(2, 3),), SOURCE) == (
        "Check complete, 1 warning has been found!\n"
        "\n"
        "WARNING: SomeRule - https://example.com/some-rule/\n"
        "it is broken\n"
        "Buildfile:2\n"
        "--------------------\n"
        "   1 |     FROM base\n"
        "   2 | >>> RUN a\\\n"
        "   3 | >>>  b\n"
        "   4 |     CMD run\n"
        "--------------------"
    )


def test_one_line_is_shown_with_more_around_it() -> None:
    shown = text((finding(1, 1), finding(4, 4), finding(10, 10)), SOURCE)
    assert shown.startswith("Check complete, 3 warnings have been found!\n\n")
    numbers = [[line[:4].strip() for line in block.splitlines() if " | " in line] for block in shown.split("WARNING")]
    assert numbers == [[], ["1", "2", "3"], ["2", "3", "4", "5", "6"], ["8", "9", "10"]]


def test_a_document_has_the_lines_and_the_text() -> None:
    error = BuildfileError("no good", where=Where("Buildfile", 4, 1))
    shown = json.loads(msgspec.json.encode(document((finding(2, 3),), SOURCE, error)))
    lines = [{"start": {"line": n}, "end": {"line": n}} for n in (2, 3)]
    assert shown["warnings"] == [
        {
            "ruleName": "SomeRule",
            "description": "Some rule",
            "url": "https://example.com/some-rule/",
            "detail": "it is broken",
            "location": {"ranges": lines},
        }
    ]
    assert shown["sources"][0]["filename"] == "Buildfile"
    assert base64.b64decode(shown["sources"][0]["data"]).decode() == SOURCE.text
    place = {"start": {"line": 4}, "end": {"line": 4}}
    assert shown["buildError"] == {"message": "no good", "location": {"ranges": [place]}}


def test_a_document_of_nothing_has_its_lists() -> None:
    shown = json.loads(msgspec.json.encode(document((), SOURCE, None)))
    assert shown["warnings"] == []
    assert "buildError" not in shown
