"""The token flow with answers made up: what is asked, where, and what is never said."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from builder.errors import RegistryError
from builder.registry.auth import Answer, Ask, Login, Token, logged_in, merged, scope

URL = "https://r.example/v2/app/manifests/1"
SCOPE = "repository:app:pull"
BEARER = f'Bearer realm="https://auth.example/token",service="r.example",scope="{SCOPE}"'
ME = Login("me", "the-password")
BASIC = "Basic " + base64.b64encode(b"me:the-password").decode()


def refused(challenge: str, body: bytes = b"") -> Answer:
    return Answer(401, {"www-authenticate": challenge}, body)


def given(status: int = 200, **document: object) -> Answer:
    return Answer(status, {}, json.dumps(document).encode())


def run(
    challenge: str,
    *answers: Answer,
    login: Login | None = None,
    scopes: tuple[str, ...] = (SCOPE,),
    url: str = URL,
    offline: bool = False,
) -> tuple[Token, list[Ask]]:
    flow = logged_in("r.example", refused(challenge), url, scopes, login, offline=offline)
    asked: list[Ask] = []
    try:
        ask = next(flow)
        for answer in answers:
            asked.append(ask)
            ask = flow.send(answer)
    except StopIteration as done:
        assert len(asked) == len(answers)
        return done.value, asked
    raise AssertionError("it asks for more")


def query(ask: Ask) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(ask.call.url).query)


def test_a_stranger_is_given_a_token() -> None:
    token, (ask,) = run(BEARER, given(token="the-token", expires_in=300))
    assert (token.header, token.seconds) == ("Bearer the-token", 300)
    assert (ask.call.method, ask.form) == ("GET", None)
    assert ask.call.url.startswith("https://auth.example/token?")
    assert query(ask) == [("service", "r.example"), ("scope", SCOPE)]
    assert "Authorization" not in ask.call.headers


def test_who_has_a_password_shows_it_to_the_token_service() -> None:
    token, (ask,) = run(BEARER, given(access_token="t"), login=ME)
    assert (token.header, token.seconds) == ("Bearer t", 60)
    assert ask.call.headers["Authorization"] == BASIC
    assert ("account", "me") in query(ask)
    assert "the-password" not in ask.call.url


def test_scopes_are_asked_for_one_by_one_with_what_the_registry_names() -> None:
    wanted = (scope("app", "pull,push"), scope("other/base", "pull"))
    _, (ask,) = run(BEARER, given(token="t"), scopes=wanted)
    assert [value for name, value in query(ask) if name == "scope"] == [
        "repository:app:pull,push",
        "repository:other/base:pull",
    ]


def test_merging_scopes() -> None:
    assert merged(["repository:a:pull", "repository:a:push,pull", "repository:b:pull"]) == (
        "repository:a:pull,push",
        "repository:b:pull",
    )
    assert merged([]) == ()


def test_a_realm_may_have_a_query_of_its_own() -> None:
    _, (ask,) = run('Bearer realm="https://auth.example/token?tenant=1"', given(token="t"))
    assert query(ask) == [("tenant", "1"), ("scope", SCOPE)]


def test_an_identity_token_is_posted_and_not_in_the_url() -> None:
    token, (ask,) = run(
        BEARER, given(access_token="t", refresh_token="next"), login=Login("me", identity="the-identity")
    )
    assert token.header == "Bearer t"
    assert (ask.call.method, ask.call.url, ask.call.same_origin) == ("POST", "https://auth.example/token", True)
    assert parse_qs((ask.form or b"").decode()) == {
        "grant_type": ["refresh_token"],
        "service": ["r.example"],
        "client_id": ["pybuild"],
        "scope": [SCOPE],
        "refresh_token": ["the-identity"],
    }


def test_a_service_that_knows_no_identity_tokens_is_asked_by_password() -> None:
    login = Login("me", "the-password", "the-identity")
    for status in (404, 405):
        token, asked = run(BEARER, given(status), given(token="t"), login=login)
        assert [ask.call.method for ask in asked] == ["POST", "GET"]
        assert token.header == "Bearer t"


def test_at_login_an_identity_token_is_asked_for() -> None:
    token, (ask,) = run(BEARER, given(token="t", refresh_token="the-identity"), login=ME, scopes=(), offline=True)
    assert token.identity == "the-identity"
    assert ("offline_token", "true") in query(ask)
    assert run(BEARER, given(token="t"), login=ME)[0].identity == ""


def test_a_registry_may_want_the_password_itself() -> None:
    assert run('Basic realm="r"', login=ME)[0].header == BASIC
    # a token is preferred: it opens less
    assert run(f'Basic realm="r", {BEARER}', given(token="t"), login=ME)[0].header == "Bearer t"


def test_a_token_that_is_kept_is_shown_as_it_is() -> None:
    assert run(BEARER, login=Login(token="kept"))[0].header == "Bearer kept"


@pytest.mark.parametrize(
    ("challenge", "login"),
    [
        ("", None),
        ("", ME),
        ('Basic realm="r"', None),
        ("Negotiate", ME),
        ("Bearer", ME),
        ('Bearer realm="file:///etc/passwd"', ME),
        ('Bearer realm="auth.example"', ME),
        ('Bearer realm="http://auth.example/token"', ME),
    ],
)
def test_what_we_cannot_answer(challenge: str, login: Login | None) -> None:
    """The last: a password is not shown over plain HTTP to who came over TLS."""
    with pytest.raises(RegistryError, match=r"r\.example asks for a login") as caught:
        run(challenge, login=login)
    assert "pybuild login r.example" in str(caught.value.hint)


def test_plain_http_may_name_a_token_service_of_plain_http() -> None:
    challenge = 'Bearer realm="http://localhost:5000/token"'
    assert run(challenge, given(token="t"), url="http://localhost:5000/v2/")[0].header == "Bearer t"


@pytest.mark.parametrize(
    ("answer", "login", "words"),
    [
        (given(403), None, "gives no token to strangers \\(status 403\\)"),
        (given(401, details="incorrect username or password"), ME, "accept the login .*: incorrect username"),
        (given(401, errors=[{"code": "UNAUTHORIZED", "message": "no"}]), ME, "unauthorized: no"),
        (given(500), ME, "gives no token \\(status 500\\)"),
        (given(307), Login("me", identity="i"), "gives no token \\(status 307\\)"),
        (Answer(200, {}, b"<html>"), ME, "cannot be read"),
        (Answer(200, {}, b'"text"'), ME, "cannot be read"),
        (Answer(200, {}, b'{"token": "\xff"}'), ME, "cannot be read"),
        (given(), ME, "gave no token"),
        (given(token=""), ME, "gave no token"),
        (given(token="a\r\nX: y"), ME, "gave no token"),
        (given(token="a b"), ME, "gave no token"),
        (given(token="\u00e9"), ME, "gave no token"),
        (given(token="t" * (64 * 1024 + 1)), ME, "gave no token"),
        (given(token=5), ME, "cannot be read"),
    ],
)
def test_no_token(answer: Answer, login: Login | None, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        run(BEARER, answer, login=login)
    shown = f"{caught.value.message} {caught.value.hint} {caught.value!r}"
    assert "the-password" not in shown
    assert BASIC.partition(" ")[2] not in shown


@pytest.mark.parametrize(
    ("said", "seconds"), [(300, 300), (1, 60), (0, 60), (-5, 60), (10**30, 60), ("300", 60), (None, 60), (True, 60)]
)
def test_a_token_holds_as_long_as_it_says_within_reason(said: object, seconds: float) -> None:
    assert run(BEARER, given(token="t", expires_in=said))[0].seconds == seconds


def test_secrets_have_no_face() -> None:
    login = Login("me", "the-password", "the-identity", "the-token")
    _, (ask,) = run(BEARER, given(token="t"), login=Login("me", identity="the-identity"))
    for shown in (repr(login), repr(Token("Bearer the-token")), repr(ask), f"{login}"):
        assert "the-" not in shown
