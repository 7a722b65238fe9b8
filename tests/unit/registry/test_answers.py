"""Errors of registries as ours: classes, hints, and reasons that can be printed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import NotFoundError, RegistryError
from builder.registry.answers import refusal, said
from builder.registry.exchange import Head


def body(code: str, message: str = "", **rest: object) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message, **rest}]}).encode()


@pytest.mark.parametrize(
    ("status", "text", "kind", "words", "hint"),
    [
        (404, body("MANIFEST_UNKNOWN", "manifest unknown"), NotFoundError, "has no manifest 1 in app", None),
        (404, b"<html>", NotFoundError, "has no manifest 1 in app", None),
        (410, b"", NotFoundError, "has no manifest 1 in app", None),
        (400, body("NAME_UNKNOWN"), NotFoundError, "has no manifest 1 in app", None),
        (401, body("UNAUTHORIZED", "authentication required"), RegistryError, "unauthorized: auth", "ask someone"),
        (403, body("DENIED", "no access"), RegistryError, "refuses manifest 1 (status 403) in app: denied: no", "ask"),
        (429, body("TOOMANYREQUESTS", "pull rate limit"), RegistryError, "too many requests", "wait a while"),
        (403, body("TOOMANYREQUESTS"), RegistryError, "too many requests", "log in"),
        (407, b"", RegistryError, "the proxy before r.example asks for a login", "https_proxy"),
        (500, body("UNKNOWN", "oh"), RegistryError, "answered 500 when asked for manifest 1 in app: unknown: oh", None),
        (418, b"<!doctype html>", RegistryError, "answered 418 when asked for manifest 1 in app: (a web page)", None),
        (503, body("BLOB_UNKNOWN"), RegistryError, "answered 503", None),
    ],
)
def test_refusals(status: int, text: bytes, kind: type[Exception], words: str, hint: str | None) -> None:
    error = refusal("r.example", "app", "manifest 1", Head(status, {}, "https://r.example/"), text, "ask someone")
    assert type(error) is kind
    assert words in error.message
    assert error.hint is None if hint is None else hint in str(error.hint)


def test_how_long_to_wait_is_told() -> None:
    head = Head(429, {"retry-after": "3600"}, "https://r.example/")
    assert "wait 3600 seconds" in str(refusal("r.example", "app", "manifest 1", head, b"", "").hint)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", ""),
        (b"plain words", ""),
        (b"{}", ""),
        (b"[1]", ""),
        (b'{"errors": "text"}', ""),
        (b'{"errors": [{}]}', ""),
        (b'{"errors": [{"code": 5, "message": ["x"]}]}', ""),
        (b'{"message": "gone"}', ": gone"),
        (b'{"details": "bad password"}', ": bad password"),
        (b'{"error": "invalid_grant", "error_description": "expired"}', ": expired"),
        (b'{"error": "invalid_grant"}', ": invalid_grant"),
        (body("DENIED", "a\n\tb\x1b[31m\x00c"), ": denied: a b[31mc"),
        (body("A", "x" * 10_000), f": a: {'x' * 297}"),
        (json.dumps({"errors": [{"code": "A"}, {"message": "b"}]}).encode(), ": a; b"),
        (b"  <html>", ": (a web page)"),
    ],
)
def test_reasons(text: bytes, expected: str) -> None:
    assert said(text) == expected


@given(st.binary(max_size=80))
def test_any_body_is_a_reason_or_none(text: bytes) -> None:
    found = said(text)
    assert len(found) <= 302
    assert found.isprintable()
