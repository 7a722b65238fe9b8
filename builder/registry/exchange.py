"""One request to a server, without I/O: which answers are followed elsewhere, and what is tried again, how often.

`exchange` is a generator. It yields what to do, a `Call` to send or a `Pause` to wait, takes what came of it, a `Head`
or `Broken`, and returns the last of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from email.utils import parsedate_to_datetime
from time import time
from urllib.parse import urljoin, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from builder.errors import RegistryError
from builder.registry.words import printable

# What a moment later may go well (RFC 9110, 15.5.9, 15.6; RFC 6585, 4).
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
_FIRST_PAUSE = 0.3
# Who asks for more patience than this is told of instead.
LONGEST_PAUSE = 60.0


class Call(Struct, frozen=True):
    """A request but for its body.

    `tries`: how often it may be sent; `unanswered`: how often when nothing answers. `same_origin`: it follows no one
    elsewhere, since its body is a secret. `plain_too`: it follows from https to http.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    tries: int = 4
    unanswered: int = 4
    same_origin: bool = False
    plain_too: bool = False


class Pause(Struct, frozen=True):
    """Wait so many seconds."""

    seconds: float


class Head(Struct, frozen=True):
    """The first part of an answer; names of `headers` are in lower case. `url` is where it came from."""

    status: int
    headers: Mapping[str, str]
    url: str


class Broken(Struct, frozen=True):
    """There is no answer. `hopeless`: nor will there be one; `untrusted`: the server did not prove who it is."""

    reason: str
    hopeless: bool = False
    untrusted: bool = False


def exchange(
    call: Call, chance: Callable[[], float] = random.random
) -> Generator[Call | Pause, Head | Broken | None, Head | Broken]:
    """From a request to its last answer. Raises RegistryError for a redirect that must not be followed."""
    first, redirects, sent = call, 0, 0
    while True:
        said = yield call
        sent += 1
        assert said is not None
        target = _target(call, said)
        if target:
            redirects += 1
            if redirects > _MOST_REDIRECTS:
                raise RegistryError(f"{_shown(first.url)} redirects without end", hint="this is the server's fault")
            call = _followed(first, call, target)
            sent -= 1  # it has come one further
            continue
        pause = _pause(said, sent, chance)
        most = min(call.tries, call.unanswered) if isinstance(said, Broken) else call.tries
        if sent >= most or pause is None:
            return said
        yield Pause(pause)


def origin(url: str) -> tuple[str, str]:
    """Scheme and host with port: what credentials are for."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def _target(call: Call, said: Head | Broken) -> str:
    """Where an answer leads, empty when it does not. What is no GET keeps its method, or stays (RFC 9110, 15.4)."""
    if isinstance(said, Broken) or said.status not in _REDIRECTS:
        return ""
    if call.method not in ("GET", "HEAD") and said.status not in (307, 308):
        return ""
    return said.headers.get("location", "")


def _followed(first: Call, call: Call, target: str) -> Call:
    """The call again, at `target`. Raises RegistryError where that is not safe."""
    here, shown = urlsplit(call.url), _shown(first.url)
    try:
        url = urljoin(call.url, target)
        there = urlsplit(url)
        _ = there.port
    except ValueError as error:
        raise RegistryError(f"{shown} redirects to what is no URL") from error
    if there.scheme not in ("http", "https") or not there.hostname:
        raise RegistryError(f"{shown} redirects to {printable(there.scheme, 20)}:, which is not followed")
    host = printable(there.hostname, 100)
    if (here.scheme, there.scheme) == ("https", "http") and not first.plain_too:
        raise RegistryError(f"{shown} redirects to plain HTTP at {host}, which is not followed")
    if first.same_origin and origin(url) != origin(first.url):
        raise RegistryError(f"{shown} redirects a secret to {host}, which is not followed")
    headers = first.headers
    if origin(url) != origin(first.url):
        headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
    bare = there._replace(netloc=there.netloc.rpartition("@")[2], fragment="").geturl()
    return replace(call, url=bare, headers=headers)


def _pause(said: Head | Broken, sent: int, chance: Callable[[], float]) -> float | None:
    """How long to wait before the next try; None when there is no use in one."""
    # Doubled each time, and never the same for two who were refused together.
    backoff: float = _FIRST_PAUSE * 2 ** (sent - 1) * (0.75 + chance() / 2)
    if isinstance(said, Broken):
        return None if said.hopeless else backoff
    if said.status not in _PASSING:
        return None
    asked = retry_after(said.headers)
    if asked is None:
        return backoff
    return asked if asked <= LONGEST_PAUSE else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds a server asks to wait (RFC 9110, 10.2.3), None where it does not."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:9])
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None


def _shown(url: str) -> str:
    """A URL without its query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"
