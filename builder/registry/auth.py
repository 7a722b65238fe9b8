"""Logging in to registries, without I/O: a generator that yields requests and takes answers.

Distribution spec, "Token authentication": a 401 names a realm; a token from there opens the registry. Where it is the
server's own password that is asked for, that is sent (Basic). A token is for scopes: `repository:PATH:pull,push`.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Generator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from builder.errors import RegistryError
from builder.readied import readied
from builder.registry.answers import said
from builder.registry.challenge import Challenge, challenges
from builder.registry.exchange import Call

# What registries are told of who asks; Docker's own programs say "docker".
_CLIENT = "pybuild"
# A token without a time holds for 60 seconds (distribution spec, token.md); longer than a day is no promise to us.
_SHORTEST, _LONGEST = 60.0, 86400.0
# Headers are refused by servers when they are longer than some such figure.
_LONGEST_TOKEN = 64 << 10
PULL, PUSH = "pull", "pull,push"


class Login(Struct, frozen=True):
    """Who someone is: a name with a password, an identity token, or a registry's token. Never shown."""

    username: str = ""
    password: str = ""
    identity: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Login({self.username!r}, …)"


class Answer(Struct, frozen=True):
    """What a server said: status, headers (names in lower case), and the body where it is small."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Ask(Struct, frozen=True):
    """A request for a token: a GET, or where there is a form a POST of it."""

    call: Call
    form: bytes | None = None

    def __repr__(self) -> str:
        return f"Ask({urlsplit(self.call.url).netloc!r}, …)"


class Token(Struct, frozen=True):
    """A header that opens a registry, for so many seconds; `identity`: a token to log in with, if one was asked for."""

    header: str
    seconds: float = _LONGEST
    identity: str = ""

    def __repr__(self) -> str:
        return "Token(…)"


class _Given(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    refresh_token: str | None = None
    expires_in: Any = None


def scope(path: str, actions: str) -> str:
    """A scope, for a repository's path."""
    return f"repository:{path}:{actions}"


def merged(scopes: Collection[str]) -> tuple[str, ...]:
    """Scopes, each resource once with all actions that are asked for it, in the order they came."""
    found: dict[str, dict[str, None]] = {}
    for text in scopes:
        resource, _, actions = text.rpartition(":")
        found.setdefault(resource, {}).update(dict.fromkeys(a for a in actions.split(",") if a))
    return tuple(f"{resource}:{','.join(actions)}" for resource, actions in found.items())


def logged_in(
    registry: str,
    refused: Answer,
    url: str,
    scopes: Collection[str],
    login: Login | None,
    *,
    offline: bool = False,
) -> Generator[Ask, Answer, Token]:
    """From a 401 answer of `url` to what opens it: asks for a token where one is wanted.

    `offline`: also for a token to log in with later, in place of the password. Raises RegistryError when the registry
    wants what we do not have.
    """
    if login is not None and login.token:
        return Token(f"Bearer {login.token}")
    offered = {
        challenge.scheme: challenge for challenge in reversed(challenges(refused.headers.get("www-authenticate", "")))
    }
    bearer = offered.get("bearer")
    if bearer is not None and _usable(bearer, url):
        return (yield from _bearer(registry, bearer, scopes, login, offline=offline))
    if "basic" in offered and login is not None and login.username:
        return Token(f"Basic {_basic(login)}")
    raise RegistryError(f"{registry} asks for a login{said(refused.body)}", refused=True, hint=login_hint(registry))


def login_hint(registry: str) -> str:
    """What to do when a registry wants to know who asks."""
    return f"is the name right? If you have an account there: pybuild login {registry}"


def _usable(bearer: Challenge, url: str) -> bool:
    """Whether a challenge names a place where a token can be asked for as safely as `url` was."""
    parts = urlsplit(bearer.parameters.get("realm", ""))
    return bool(parts.netloc) and parts.scheme in (("https",) if url.startswith("https:") else ("http", "https"))


def _bearer(
    registry: str, bearer: Challenge, scopes: Collection[str], login: Login | None, *, offline: bool
) -> Generator[Ask, Answer, Token]:
    named = bearer.parameters.get("scope", "").split()
    wanted = merged([*named, *scopes])
    answer = yield _ask(bearer, wanted, login, offline=offline)
    if answer.status in (404, 405) and login is not None and login.identity and login.password:
        answer = yield _ask(bearer, wanted, Login(login.username, login.password), offline=offline)
    if answer.status != 200:
        raise _no_token(registry, answer, login)
    return _token(registry, answer.body)


def _ask(bearer: Challenge, scopes: Collection[str], login: Login | None, *, offline: bool) -> Ask:
    realm, service = bearer.parameters["realm"], bearer.parameters.get("service", "")
    headers = {"Accept": "application/json"}
    if login is not None and login.identity:
        # OAuth 2 (distribution spec, oauth.md): the identity token is a refresh token.
        form = {"grant_type": "refresh_token", "service": service, "client_id": _CLIENT, "scope": " ".join(scopes)}
        data = urlencode({**form, "refresh_token": login.identity}).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return Ask(Call("POST", realm, headers, same_origin=True), data)
    query = [("service", service)] if service else []
    query += [("scope", text) for text in scopes]
    if login is not None and login.username:
        headers["Authorization"] = f"Basic {_basic(login)}"
        query.append(("account", login.username))
        if offline:
            query += [("client_id", _CLIENT), ("offline_token", "true")]
    if not query:
        return Ask(Call("GET", realm, headers))
    return Ask(Call("GET", f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(query)}", headers))


def _no_token(registry: str, answer: Answer, login: Login | None) -> RegistryError:
    why = said(answer.body)
    if login is None:
        return RegistryError(
            f"{registry} gives no token to strangers (status {answer.status}){why}",
            refused=True,
            hint=login_hint(registry),
        )
    if answer.status in (400, 401, 403):
        return RegistryError(
            f"{registry} does not accept the login (status {answer.status}){why}",
            hint=f"pybuild login {registry} stores another",
        )
    return RegistryError(f"{registry} gives no token (status {answer.status}){why}")


def _token(registry: str, body: bytes) -> Token:
    try:
        found = msgspec.json.decode(body, type=readied(_Given))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"{registry} gave a token that cannot be read") from error
    token = found.token or found.access_token or ""
    if not _is_word(token):
        raise RegistryError(f"{registry} gave no token")
    given = found.expires_in
    seconds = float(given) if isinstance(given, (int, float)) and 0 < given < _LONGEST else _SHORTEST
    identity = found.refresh_token or ""
    return Token(f"Bearer {token}", max(seconds, _SHORTEST), identity if _is_word(identity) else "")


def _is_word(text: str) -> bool:
    """Whether a text can stand in a header."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text and len(text) <= _LONGEST_TOKEN


def _basic(login: Login) -> str:
    return base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
