from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import BadInputError, UsageError
from builder.graph.gotext import duration, parse_duration, quoted
from builder.image.reference import Reference

_PART = st.from_regex(r"[a-z0-9]+(?:(?:\.|_|__|-{1,2})[a-z0-9]+){0,2}", fullmatch=True)
_PATH = st.lists(_PART, max_size=2).map(lambda parts: "/".join(["team", *parts]))
_DOMAIN = st.sampled_from(["localhost", "localhost:5000", "example.com", "a.example.com:443", "Upper", "[::1]:80"])
_TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
_DIGEST = st.binary(max_size=8).map(Digest.of)


@settings(max_examples=150, deadline=None)
@given(st.none() | _DOMAIN, _PATH, st.none() | _TAG, st.none() | _DIGEST)
def test_a_reference_survives(domain: str | None, path: str, tag: str | None, digest: Digest | None) -> None:
    text = (f"{domain}/" if domain else "") + path + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    parsed = Reference.parse(text)
    assert (parsed.tag, parsed.digest) == (tag, digest)
    assert Reference.parse(str(parsed)) == parsed
    assert Reference.parse(parsed.familiar()) == parsed
    if domain:
        assert (parsed.domain, parsed.path) == (domain, path)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=30) | st.text("aA0/:.@-_[]", max_size=15))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        parsed = Reference.parse(text)
    except UsageError:
        return
    assert Reference.parse(str(parsed)) == parsed


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=20), st.text(max_size=80))
def test_only_a_digest_is_a_digest(data: bytes, noise: str) -> None:
    digest = Digest.of(data)
    assert Digest.parse(str(digest)) == digest
    for text in (noise, f"{digest}{noise}" if noise else "x", str(digest).upper(), str(digest)[:-1], f"{digest}\n"):
        with pytest.raises(BadInputError):
            Digest.parse(text)


@settings(max_examples=250, deadline=None)
@given(st.integers(0, 2**63 - 1) | st.integers(0, 10**12))
def test_a_duration_is_read_as_it_is_written(nanoseconds: int) -> None:
    assert parse_duration(duration(nanoseconds)) == nanoseconds


@settings(max_examples=250, deadline=None)
@given(st.text(max_size=12) | st.text("0123456789.hmsnuµ+-", max_size=12))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        value = parse_duration(text)
    except ValueError:
        return
    assert -(2**63) <= value < 2**63


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_a_quoted_string_is_one_printable_line(text: str) -> None:
    got = quoted(text)
    assert got.startswith('"')
    assert got.endswith('"')
    assert got.isprintable()
