"""What is followed and tried again, without a socket."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from builder.errors import RegistryError
from builder.registry.exchange import Broken, Call, Head, Pause, exchange, retry_after

CALL = Call("GET", "https://one.example/v2/a", {"Authorization": "secret", "Accept": "x"})
OK = (200, {})
Said = tuple[int, Mapping[str, str]] | Broken


def run(call: Call, *answers: Said) -> tuple[Head | Broken, list[Call], list[float]]:
    """What comes of it, what was sent, and how long was waited, when a server gives these answers."""
    flow = exchange(call, lambda: 0.5)
    sent: list[Call] = []
    waited: list[float] = []
    left = list(answers)
    step: Call | Pause = next(flow)
    try:
        while True:
            if isinstance(step, Pause):
                waited.append(step.seconds)
                step = flow.send(None)
            else:
                sent.append(step)
                said = left.pop(0)
                step = flow.send(said if isinstance(said, Broken) else Head(said[0], said[1], step.url))
    except StopIteration as done:
        assert not left
        return done.value, sent, waited


def to(location: str, status: int = 307) -> Said:
    return status, {"location": location}


@pytest.mark.parametrize("status", [200, 206, 304, 400, 401, 403, 404, 418, 501])
def test_an_answer_ends_it(status: int) -> None:
    last, sent, waited = run(CALL, (status, {}))
    assert isinstance(last, Head)
    assert (last.status, sent, waited) == (status, [CALL], [])


@pytest.mark.parametrize("passing", [(408, {}), (429, {}), (500, {}), (502, {}), (503, {}), (504, {}), Broken("cut")])
def test_what_may_pass_is_tried_again_after_pauses_that_double(passing: Said) -> None:
    last, sent, waited = run(CALL, passing, passing, OK)
    assert isinstance(last, Head)
    assert (last.status, sent) == (200, [CALL] * 3)
    assert waited == [pytest.approx(0.3), pytest.approx(0.6)]


def test_four_tries_are_enough() -> None:
    last, sent, _ = run(CALL, *[(503, {})] * 4)
    assert isinstance(last, Head)
    assert (last.status, len(sent)) == (503, 4)
    broken = Broken("no route")
    assert run(CALL, *[broken] * 4)[0] == broken


def test_what_can_be_sent_once_only_is() -> None:
    call = Call("PATCH", "https://one.example/v2/a", {}, tries=1)
    assert len(run(call, (503, {}))[1]) == 1
    assert len(run(call, Broken("cut"))[1]) == 1


def test_nobody_there_may_be_given_up_sooner_than_someone_busy() -> None:
    call = Call("GET", "http://one.example/v2/a", {}, unanswered=1)
    assert len(run(call, Broken("refused"))[1]) == 1
    assert len(run(call, (503, {}), OK)[1]) == 2


def test_what_cannot_be_is_not_tried_again() -> None:
    last, sent, _ = run(CALL, Broken("no such host", hopeless=True))
    assert (last, len(sent)) == (Broken("no such host", hopeless=True), 1)


def test_a_server_says_how_long_to_wait() -> None:
    assert run(CALL, (429, {"retry-after": "7"}), OK)[2] == [7.0]
    assert run(CALL, (503, {"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}), OK)[2] == [0.0]
    # more than a minute is told of, not waited for
    last, sent, waited = run(CALL, (429, {"retry-after": "61"}))
    assert isinstance(last, Head)
    assert (last.status, len(sent), waited) == (429, 1, [])


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "\u0665", "Thu, 99 Foo", "9" * 400])
def test_what_is_no_time_to_wait(text: str) -> None:
    found = retry_after({"retry-after": text})
    assert found is None or found > 60


# --- redirects -----------------------------------------------------------------------------------


def test_a_redirect_on_the_same_host_keeps_the_login() -> None:
    _, sent, _ = run(CALL, to("/elsewhere?x=1"), to("b"), OK)
    assert [call.url for call in sent[1:]] == ["https://one.example/elsewhere?x=1", "https://one.example/b"]
    assert all(call.headers == CALL.headers for call in sent)


@pytest.mark.parametrize(
    "location", ["https://two.example/a", "//two.example/a", "https://one.example:444/a", "https://u:p@two.example/a"]
)
def test_another_host_is_not_shown_the_login(location: str) -> None:
    _, sent, _ = run(CALL, to(location), to("https://one.example/back"), OK)
    assert sent[1].headers == {"Accept": "x"}
    assert "@" not in sent[1].url
    assert sent[2].headers == CALL.headers, "back where it began"


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://one.example/v2/a", "plain HTTP"),
        ("file:///etc/passwd", "file:"),
        ("ftp://one.example/a", "ftp:"),
        ("gopher:x", "gopher:"),
        ("https://:80/nowhere", "redirects to https:"),
        ("https://[::1/a", "no URL"),
        ("https://one.example:port/a", "no URL"),
    ],
)
def test_where_nobody_is_followed(location: str, words: str) -> None:
    with pytest.raises(RegistryError, match=words) as caught:
        run(CALL, to(location))
    assert "one.example/v2/a" in caught.value.message


def test_plain_http_may_lead_to_plain_http_and_to_tls() -> None:
    call = Call("GET", "http://localhost:5000/v2/a", {})
    assert len(run(call, to("http://store.example/a"), to("https://store.example/a"), OK)[1]) == 3


def test_a_file_of_the_web_may_lead_from_tls_to_plain_http_but_not_with_its_login() -> None:
    call = Call("GET", "https://one.example/f", CALL.headers, plain_too=True)
    last, sent, _ = run(call, to("http://one.example/f"), OK)
    assert isinstance(last, Head)
    assert (last.status, sent[1].headers) == (200, {"Accept": "x"})


def test_a_loop_ends() -> None:
    with pytest.raises(RegistryError, match="redirects without end"):
        run(CALL, *[to("/v2/a")] * 11)
    assert len(run(CALL, *[to("/v2/a")] * 10, OK)[1]) == 11


def test_what_changes_something_keeps_its_method_or_stays() -> None:
    put = Call("PUT", "https://one.example/v2/a", {})
    assert [call.method for call in run(put, to("/b"), to("/c", 308), OK)[1]] == ["PUT"] * 3
    for status in (301, 302, 303):
        last, sent, _ = run(put, to("/b", status))
        assert isinstance(last, Head)
        assert (last.status, len(sent)) == (status, 1)


def test_a_secret_in_a_body_goes_to_its_server_alone() -> None:
    call = Call("POST", "https://auth.example/token", {}, same_origin=True)
    assert len(run(call, to("/other"), OK)[1]) == 2
    with pytest.raises(RegistryError, match="redirects a secret"):
        run(call, to("https://two.example/token"))


def test_a_redirect_without_a_place_is_an_answer() -> None:
    last, _, _ = run(CALL, (302, {}))
    assert isinstance(last, Head)
    assert last.status == 302


def test_where_it_came_from_is_not_told_with_its_signature() -> None:
    with pytest.raises(RegistryError) as caught:
        run(CALL, to("/a?signature=hidden"), to("http://two.example/?token=hidden"))
    assert "hidden" not in caught.value.message
