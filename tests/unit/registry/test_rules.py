"""Where repositories are asked for: rules, mirrors, what is blocked and what need not be safe."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from builder.errors import RegistryError, UsageError
from builder.image.reference import Reference
from builder.registry.rules import (
    Insecure,
    Mirror,
    Place,
    Rule,
    checked_insecure,
    default_mirror,
    joined,
    parsed,
    places,
)

DIGEST = f"sha256:{'a' * 64}"


def rules(text: str) -> tuple[Rule, ...]:
    return parsed(tomllib.loads(text)["registry"])


def found(name: str, text: str = "registry = []", *mirrors: str, push: bool = False) -> list[str]:
    """The places of a name, as `host/path`, with marks."""
    asked = places(Reference.parse(name), rules(text), tuple(map(default_mirror, mirrors)), push=push)
    assert all(place.mirror for place in asked[:-1])
    assert not asked[-1].mirror
    marks = [(" insecure" if p.insecure else "") + (" plain" if p.plain else "") for p in asked]
    return [f"{place.host}/{place.path}{mark}" for place, mark in zip(asked, marks, strict=True)]


def test_without_rules_a_name_says_where_it_is() -> None:
    assert found("r.example:5000/a/b") == ["r.example:5000/a/b"]
    assert found("debian") == ["registry-1.docker.io/library/debian"]


def test_mirrors_of_the_default_registry_come_first_and_are_for_pulls() -> None:
    mirrors = ("https://one.example", "http://localhost:5000/")
    assert found("debian", "registry = []", *mirrors) == [
        "one.example/library/debian",
        "localhost:5000/library/debian plain",
        "registry-1.docker.io/library/debian",
    ]
    assert found("debian", "registry = []", *mirrors, push=True) == ["registry-1.docker.io/library/debian"]
    assert found("r.example/debian", "registry = []", *mirrors) == ["r.example/debian"]


REWRITTEN = """
[[registry]]
prefix = "r.example/team"
location = "store.example:5000/deep/team"
insecure = true
[[registry.mirror]]
location = "m.example/copies"
[[registry.mirror]]
location = "http://n.example"
insecure = true
[[registry]]
location = "r.example"
[[registry]]
prefix = "r.example/team/special"
[[registry]]
prefix = "*.wild.example"
insecure = true
[[registry.mirror]]
location = "m.example"
pull-from-mirror = "digest-only"
[[registry]]
prefix = "docker.io/library"
[[registry.mirror]]
location = "m.example/official"
pull-from-mirror = "tag-only"
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "r.example/team/app",
            ["m.example/copies/app", "n.example/app insecure plain", "store.example:5000/deep/team/app insecure"],
        ),
        ("r.example/team/special/app", ["r.example/team/special/app"]),
        ("r.example/teamwork/app", ["r.example/teamwork/app"]),
        ("a.wild.example/app", ["a.wild.example/app insecure"]),
        (f"a.b.wild.example/app@{DIGEST}", ["m.example/app", "a.b.wild.example/app insecure"]),
        ("wild.example/app", ["wild.example/app"]),
        ("debian", ["m.example/official/debian", "registry-1.docker.io/library/debian"]),
        (f"debian@{DIGEST}", ["registry-1.docker.io/library/debian"]),
    ],
)
def test_the_longest_prefix_holds(name: str, expected: list[str]) -> None:
    assert found(name, REWRITTEN) == expected


def test_what_is_blocked_is_not_asked_for() -> None:
    text = '[[registry]]\nprefix = "r.example/bad"\nblocked = true\n'
    for push in (False, True):
        with pytest.raises(RegistryError, match=r"r\.example is blocked: bad/app") as caught:
            found("r.example/bad/app", text, push=push)
    assert "r.example/bad" in str(caught.value.hint)
    assert found("r.example/good", text) == ["r.example/good"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('registry = "r.example"', "tables"),
        ("registry = [1]", "tables"),
        ("[[registry]]\n", "prefix or a location"),
        ('[[registry]]\nprefix = "https://r.example"', "prefix or a location"),
        ('[[registry]]\nprefix = "r.example/UPPER"', "prefix or a location"),
        ('[[registry]]\nprefix = "*.r.example"\nlocation = "s.example"', "begin with"),
        ('[[registry]]\nlocation = "r.example"\nblocked = "yes"', "blocked cannot be"),
        ('[[registry]]\nlocation = "r.example"\nblock = true', "there is no 'block'"),
        ('[[registry]]\nlocation = "r.example"\nmirror = ["m.example"]', "mirror"),
        ('[[registry]]\nlocation = "r.example"\n[[registry.mirror]]\n', "needs a location"),
        ('[[registry]]\nlocation = "r.example"\n[[registry.mirror]]\nlocation = "ftp://m.example"', "needs a location"),
        (
            '[[registry]]\nlocation = "r.example"\n[[registry.mirror]]\nlocation = "m"\npull-from-mirror = "no"',
            "digest-only",
        ),
    ],
)
def test_rules_that_cannot_be_meant(said: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rules(said)


def test_of_two_files_the_later_holds_where_both_speak() -> None:
    below = (Rule("a.example"), Rule("b.example", blocked=True))
    above = (Rule("b.example"), Rule("c.example"))
    assert [(rule.prefix, rule.blocked) for rule in joined(below, above)] == [
        ("a.example", False),
        ("b.example", False),
        ("c.example", False),
    ]


@pytest.mark.parametrize(
    ("word", "safe", "unsafe"),
    [
        ("r.example:5000", ["r.example", "r.example:5001", "x.r.example:5000"], ["r.example:5000"]),
        ("r.example", ["x.r.example"], ["r.example", "r.example:5000"]),
        ("http://R.example/", ["s.example"], ["r.example", "r.EXAMPLE"]),
        ("10.0.0.0/8", ["11.0.0.1:5000", "r.example", "r.example:10"], ["10.1.2.3", "10.1.2.3:5000"]),
        ("fc00::/7", ["[fe80::1]:5000"], ["[fc00::1]:5000", "[fc00::1]"]),
        ("[::1]:5000", ["[::1]"], ["[::1]:5000"]),
    ],
)
def test_who_need_not_be_safe(word: str, safe: list[str], unsafe: list[str]) -> None:
    words: Any = Insecure((checked_insecure(word),))
    assert [host for host in (*safe, *unsafe) if host in words] == unsafe


@pytest.mark.parametrize("word", ["", "r.example/path", "a b", "ftp://r.example", "10.0.0.0/99", "r.example:port"])
def test_what_is_no_host(word: str) -> None:
    with pytest.raises(UsageError, match="--insecure-registry"):
        checked_insecure(word)


@pytest.mark.parametrize(
    "url",
    [
        "m.example",
        "ftp://m.example",
        "https://",
        "https://m.example/path",
        "https://m.example?q",
        "https://u:p@m.example",
        "https://[::1",
    ],
)
def test_what_is_no_mirror(url: str) -> None:
    with pytest.raises(UsageError, match="--registry-mirror"):
        default_mirror(url)


def test_a_mirror_is_by_tls_unless_its_url_says_otherwise() -> None:
    assert default_mirror("https://m.example:5000/") == Mirror("m.example:5000")
    assert default_mirror("http://m.example") == Mirror("m.example", plain=True)
    assert Place("m.example", "a") == Place("m.example", "a", insecure=False, plain=False, mirror=False)
