"""What registries answer when they do not do what was asked (distribution spec, "Error Codes"), as our errors."""

from __future__ import annotations

from typing import Any

import msgspec

from builder.errors import NotFoundError, PybuildError, RegistryError
from builder.readied import readied
from builder.registry.exchange import Head, retry_after
from builder.registry.words import printable

# Of a body that says what is wrong no more is read.
LARGEST = 64 << 10
_LONGEST = 300
_ABSENT = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})


class _Error(msgspec.Struct):
    code: Any = None
    message: Any = None
    detail: Any = None


class _Errors(msgspec.Struct):
    errors: list[_Error] = []
    # of token services, RFC 6749, 5.2; some say `details` or `message` instead
    error: Any = None
    error_description: Any = None
    details: Any = None
    message: Any = None


def said(body: bytes) -> str:
    """What a body gives as reasons, after `: `; empty where it gives none."""
    found = _parsed(body)
    if found is None:
        return ": (a web page)" if body.lstrip()[:1] == b"<" else ""
    texts = [": ".join(_words(part) for part in (e.code, e.message) if _words(part)) for e in found.errors[:5]]
    texts = texts or [_words(found.error_description or found.details or found.message or found.error)]
    text = "; ".join(filter(None, texts))
    return f": {text[:_LONGEST]}" if text else ""


def refusal(registry: str, path: str, what: str, head: Head, body: bytes, hint: str) -> PybuildError:
    """The error for an answer other than wanted: `registry` was asked for `what` of the repository `path`.

    `hint` is for those who may not have it.
    """
    why, codes = said(body), _codes(body)
    status = head.status
    if status in (404, 410) or (codes & _ABSENT and status < 500):
        return NotFoundError(f"{registry} has no {what} in {path}")
    if status == 429 or "TOOMANYREQUESTS" in codes:
        seconds = retry_after(head.headers)
        when = "wait a while" if seconds is None else f"wait {seconds:.0f} seconds"
        return RegistryError(
            f"{registry} answered {status}, too many requests, when asked for {what} in {path}{why}",
            hint=f"{when}, or log in, if that grants more: pybuild login {registry}",
        )
    if status in (401, 403):
        return RegistryError(f"{registry} refuses {what} (status {status}) in {path}{why}", refused=True, hint=hint)
    if status == 407:
        return RegistryError(
            f"the proxy before {registry} asks for a login", hint="as in https_proxy=http://USER:PASSWORD@HOST"
        )
    return RegistryError(f"{registry} answered {status} when asked for {what} in {path}{why}")


def _codes(body: bytes) -> set[str]:
    found = _parsed(body)
    return {e.code for e in found.errors if isinstance(e.code, str)} if found else set()


def _parsed(body: bytes) -> _Errors | None:
    try:
        return msgspec.json.decode(body, type=readied(_Errors))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _words(text: Any) -> str:
    """What of a value can be printed on one line, codes in lower case as Docker shows them."""
    if not isinstance(text, str):
        return ""
    line = printable(text, _LONGEST)
    return line.lower() if line.isupper() else line
