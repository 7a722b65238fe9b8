"""WWW-Authenticate as servers write it, and as none should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.registry.challenge import Challenge, challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ()),
        ("Basic", (("basic", {}),)),
        ('Basic realm="a b"', (("basic", {"realm": "a b"}),)),
        (
            'Bearer realm="https://a.example/t",service="r",scope="repository:a/b:pull,push"',
            (("bearer", {"realm": "https://a.example/t", "service": "r", "scope": "repository:a/b:pull,push"}),),
        ),
        (
            'Negotiate, Basic realm="x", Bearer realm="y" , error=invalid_token',
            (("negotiate", {}), ("basic", {"realm": "x"}), ("bearer", {"realm": "y", "error": "invalid_token"})),
        ),
        (r'Basic realm="a \"quoted\" \\ one"', (("basic", {"realm": r'a "quoted" \ one'}),)),
        ('BEARER Realm = "x"', (("bearer", {"realm": "x"}),)),
        ('Bearer realm="first",realm="second"', (("bearer", {"realm": "first"}),)),
        ('Bearer realm="never closed', (("bearer", {}),)),
        ("=,=,", ()),
    ],
)
def test_challenges(header: str, expected: tuple[tuple[str, dict[str, str]], ...]) -> None:
    assert challenges(header) == tuple(Challenge(scheme, parameters) for scheme, parameters in expected)


@given(st.text(alphabet='abcAB =,"\\:/\t;{}é', max_size=60))
def test_any_header_is_read_to_an_end(header: str) -> None:
    for found in challenges(header):
        assert found.scheme == found.scheme.lower()


@given(st.dictionaries(st.sampled_from(["realm", "service", "scope", "x"]), st.text(max_size=20), min_size=1))
def test_what_is_quoted_comes_back(parameters: dict[str, str]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    plain = {name: " ".join(value.split()) for name, value in parameters.items()}
    header = "Bearer " + ",".join(f"{name}={quoted(value)}" for name, value in plain.items())
    assert challenges(header) == (Challenge("bearer", plain),)
