"""How what is taken out of steps is written."""

from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.export.taken import Taken, parse


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("build:/out:got", Taken("/out", "got", "build")),
        ("12:/out:got", Taken("/out", "got", "12")),
        ("Buildfile:12:/out:got", Taken("/out", "got", "Buildfile:12")),
        ("build:12:got", Taken("12", "got", "build")),
        ("build:/out:C:/got", Taken("/out", "C:/got", "build")),
    ],
)
def test_of_a_named_step(text: str, wanted: Taken) -> None:
    assert parse(text, named=True) == wanted


def test_of_the_step_that_fails() -> None:
    assert parse("/out:a:b", named=False) == Taken("/out", "a:b")


@pytest.mark.parametrize(("text", "named"), [("", True), ("a:b", True), (":a:b", True), ("a::b", True), ("a", False)])
def test_what_is_neither(text: str, named: bool) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, named=named)
    assert caught.value.hint
