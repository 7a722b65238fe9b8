"""The token flow of registries, without I/O: a generator that yields requests and takes responses.

Distribution spec, "Token authentication": a 401 names a realm; a token from there opens the registry.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from builder.errors import RegistryError

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class Answer(Struct, frozen=True):
    """What a server said: status, headers (names in lower case), and the body where it is small."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class _Token(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None


def anonymous_token(registry: str, refused: Answer) -> Generator[str, Answer, str]:
    """From a 401 answer to a bearer token for anyone: yields the one URL to get, returns the token.

    Raises RegistryError when the registry wants another kind of login.
    """
    challenge = refused.headers.get("www-authenticate", "")
    scheme, _, rest = challenge.partition(" ")
    parameters = dict(_PARAMETER.findall(rest))
    realm = parameters.get("realm", "")
    if scheme.lower() != "bearer" or urlsplit(realm).scheme not in ("http", "https"):
        raise RegistryError(f"{registry} asks for a login", hint="only anonymous pulls are supported in this version")
    query = {name: parameters[name] for name in ("service", "scope") if name in parameters}
    answer = yield f"{realm}?{urlencode(query)}" if query else realm
    if answer.status != 200:
        raise RegistryError(f"{registry} gives no token to strangers (status {answer.status})")
    try:
        found = msgspec.json.decode(answer.body, type=_Token)
    except msgspec.DecodeError as error:
        raise RegistryError(f"{registry} gave a token that cannot be read") from error
    token = found.token or found.access_token
    if not token or not token.isprintable():
        raise RegistryError(f"{registry} gave no token")
    return token
