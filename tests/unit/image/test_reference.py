"""References against the table of distribution's own tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import UsageError
from builder.image.reference import Reference

TABLE = Path(__file__).parents[2] / "cases" / "references.txt"
DIGEST = f"sha256:{'f' * 64}"
LINES = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
ROWS = [[cell.strip().replace("@D", f"@{DIGEST}") for cell in line.split("|")] for line in LINES]
GOOD = [row for row in ROWS if row[1] != "!"]
BAD = [row[0] for row in ROWS if row[1] == "!"]


def test_the_table_is_whole() -> None:
    assert (len(GOOD), len(BAD)) == (50, 31)


@pytest.mark.parametrize("row", GOOD, ids=lambda row: str(row[0])[:60])
def test_a_name_is_read_as_docker_reads_it(row: list[str]) -> None:
    text, domain, path, tag, digest, familiar = row
    expected = Digest.parse(DIGEST) if digest else None
    found = Reference.parse(text)
    assert found == Reference(domain, path, tag or None, expected)
    assert found.familiar() == familiar
    assert Reference.parse(str(found)) == found


@pytest.mark.parametrize("text", BAD)
def test_what_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


def test_a_path_has_a_length_and_the_registry_does_not_count() -> None:
    path = "a/" * 127 + "a"
    assert Reference.parse(f"registry.example:5000/{path}:tag-puts-this-over").path == path
    with pytest.raises(UsageError, match="longer than 255"):
        Reference.parse(f"registry.example/{path}b")


def test_digits_of_other_scripts_are_no_port() -> None:
    with pytest.raises(UsageError):
        Reference.parse("host:\u0665\u0660/a")


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        found = Reference.parse(text)
    except UsageError:
        return
    assert Reference.parse(str(found)) == found
