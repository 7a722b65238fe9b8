from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.attest.licenses import Stated, licensing, stated
from builder.attest.text import clean


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("Expat", "MIT"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-3", "GPL-3.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("GPLv2+ and MIT", "GPL-2.0-or-later AND MIT"),
        ("(MIT OR Apache-2.0)", "MIT OR Apache-2.0"),
        ("MIT and (ISC or GPLv2+)", "MIT AND (ISC OR GPL-2.0-or-later)"),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("Apache Software License", "Apache-2.0"),
    ],
)
def test_what_spdx_has_a_name_for(text: str, expression: str) -> None:
    assert stated((text,)) == Stated(expression)


@pytest.mark.parametrize("text", ["public-domain", "see LICENSE", "GPL-2+ or MIT, and BSD", "(((", "MIT AND", "and"])
def test_what_it_has_none_for_becomes_a_reference(text: str) -> None:
    found = stated((text,))
    assert found is not None
    ((name, behind),) = found.references
    assert found.expression == name
    assert behind == text


def test_names_that_look_alike_stay_apart() -> None:
    one, two = stated(("a b",)), stated(("a-b",))
    assert one is not None
    assert two is not None
    assert one.expression != two.expression


def test_several() -> None:
    found = stated(("MIT", "GPL-2+ or own", "MIT"))
    assert found == Stated("MIT AND (GPL-2.0-or-later OR LicenseRef-own)", (("LicenseRef-own", "own"),))


def test_nothing_and_far_too_much() -> None:
    assert stated(()) is None
    assert stated(("",)) is None
    assert stated(("x" * 501,)) is None


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(), st.text(alphabet="()+,- andorMITGPL2")).map(clean), max_size=3))
def test_whatever_is_stated_gives_an_expression(texts: list[str]) -> None:
    found = stated(tuple(texts))
    if found is not None:
        parsed = licensing().parse(found.expression, strict=True)
        unknown = {key for key in licensing().unknown_license_keys(parsed) if not key.startswith("DocumentRef")}
        assert unknown == {name for name, _ in found.references}
