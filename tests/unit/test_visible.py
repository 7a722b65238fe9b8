from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.visible import visible


def test_what_cannot_be_seen_is_spelt_out() -> None:
    assert visible("a\x07b\u200fc\td\u00e9\n\udcff") == "a\\x07b\\u200fc\\td\u00e9\\n\\xff"
    assert visible("a\tb\x1b", "\t") == "a\tb\\x1b"


@given(st.text())
def test_what_is_left_can_be_shown_and_encoded(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    shown.encode()
    assert visible(shown) == shown
