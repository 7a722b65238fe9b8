"""Signals by name."""

from __future__ import annotations

import signal

import pytest

from builder.errors import UsageError
from builder.runtime.control import signal_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", signal.SIGTERM),
        ("sigterm", signal.SIGTERM),
        ("15", signal.SIGTERM),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("WINCH", signal.SIGWINCH),
    ],
)
def test_a_signal_has_a_name_or_a_number(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "NOPE", "-9", "RTMIN+99", "９"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        signal_number(text)
