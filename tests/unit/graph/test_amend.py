"""Instructions of `commit --change` over a config."""

from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.graph.amend import ALLOWED, amended
from builder.image.config import Healthcheck, History, ImageConfig
from builder.image.platform import Platform

BASE = ImageConfig(
    Platform("linux", "amd64"),
    env=(("A", "1"),),
    cmd=("old",),
    working_dir="/work",
    labels=(("kept", "yes"),),
    volumes=("/v",),
    history=(History("made"),),
    on_build=("RUN first",),
)


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ('CMD ["a", "b"]', "cmd", ("a", "b")),
        ("CMD a b", "cmd", ("/bin/sh", "-c", "a b")),
        ('ENTRYPOINT ["e"]', "entrypoint", ("e",)),
        ("ENV B=$A-2 C=3", "env", (("A", "1"), ("B", "1-2"), ("C", "3"))),
        ("EXPOSE 80 53/udp", "exposed_ports", ("53/udp", "80/tcp")),
        ("HEALTHCHECK --retries=2 CMD true", "healthcheck", Healthcheck(("CMD-SHELL", "true"), retries=2)),
        ("LABEL a=b", "labels", (("kept", "yes"), ("a", "b"))),
        ("ONBUILD RUN second", "on_build", ("RUN first", "RUN second")),
        ("STOPSIGNAL SIGINT", "stop_signal", "SIGINT"),
        ("USER alice", "user", "alice"),
        ("VOLUME /data", "volumes", ("/data", "/v")),
        ("WORKDIR sub", "working_dir", "/work/sub"),
        ("workdir /x", "working_dir", "/x"),
    ],
)
def test_each_kind(text: str, field: str, expected: object) -> None:
    found = amended(BASE, [text])
    assert getattr(found, field) == expected
    assert found.history == BASE.history


def test_every_kind_that_is_allowed_has_a_case() -> None:
    (cases,) = (mark.args[1] for mark in test_each_kind.pytestmark)  # type: ignore[attr-defined]
    assert {case[0].split()[0].upper() for case in cases} == set(ALLOWED)


def test_nothing_changes_nothing() -> None:
    assert amended(BASE, []) == BASE


def test_one_after_the_other() -> None:
    found = amended(BASE, ["ENV B=2", "ENV C=$B", 'ENTRYPOINT ["e"]'])
    assert dict(found.env)["C"] == "2"
    assert found.cmd is None  # as in Docker, and in a Buildfile
    assert amended(BASE, ['CMD ["c"]', 'ENTRYPOINT ["e"]']).cmd == ("c",)


@pytest.mark.parametrize(
    "text",
    [
        "RUN true",
        "FROM base",
        "COPY a b",
        "ADD a b",
        "ARG A",
        'SHELL ["a"]',
        "MAINTAINER me",
        "NONSENSE",
        "",
        "EXPOSE x",
    ],
)
def test_any_other_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        amended(BASE, ['CMD ["a"]', text])
    assert caught.value.exit_code == 2
