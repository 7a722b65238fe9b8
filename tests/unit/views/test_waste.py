"""What is wasted in an image, by what, and what to change; what is left in it."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from builder.api import insight
from builder.api.session import Session
from builder.views.advice import advice, instruction
from builder.views.leftovers import cache_of
from builder.views.waste import Analysis
from tests.support import layered
from tests.support.rootfs import directory, member

RUN, COPY = "RUN /bin/sh -c make # buildkit", "COPY . /app # buildkit"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path / "store") as opened:
        yield opened


def analyzed(
    session: Session, *layers: Sequence[Any], steps: Sequence[str] = (), places: Sequence[tuple[str, int]] = ()
) -> Analysis:
    layered.image(session.store, "app", *layers, steps=steps, places=places)
    return insight.analyze(session, "app")


def told(found: Analysis) -> list[tuple[str, int, int, int, int]]:
    return [(one.how, one.bytes, one.files, one.written.layer, one.wasted.layer) for one in found.waste]


@pytest.mark.parametrize(
    ("above", "how"),
    [
        (member("d/.wh.f"), "deleted"),
        (member("d/.wh..wh..opq"), "deleted"),
        (member(".wh.d"), "deleted"),
        (member("d", b"a file"), "deleted"),
        (member("d/f", b"other"), "replaced"),
        (directory("d/f"), "replaced"),
        (member("d/f", b"x" * 50, uid=5), "owner"),
        (member("d/f", b"x" * 50, uid=5, mode=0o600), "owner"),
        (member("d/f", b"x" * 50, mode=0o600), "mode"),
        (member("d/f", b"x" * 50, mtime=5), "same content"),
    ],
)
def test_what_a_later_layer_hides_is_wasted(session: Session, above: Any, how: str) -> None:
    found = analyzed(session, (directory("d"), member("d/f", b"x" * 50), member("kept", b"y" * 40)), (above,))
    assert told(found) == [(how, 50, 1, 1, 2)]
    size = 90 + len(above[1])
    assert (found.wasted, found.bytes) == (50, size)
    assert found.efficiency == pytest.approx(1 - 50 / size)
    (one,) = found.waste
    assert (one.directory, [(e.path, e.size) for e in one.examples]) == ("/d", [("/d/f", 50)])
    assert [use.wasted for use in found.layers] == [50, 0]


def test_what_still_shows_by_another_name_is_not_wasted(session: Session) -> None:
    first = (member("f", b"x" * 50), member("g", kind=tarfile.LNKTYPE, link="f"))
    assert told(analyzed(session, first, (member(".wh.f"),))) == []
    assert told(analyzed(session, first, (member(".wh.f"),), (member(".wh.g"),))) == [("deleted", 50, 1, 1, 3)]
    assert [use.bytes for use in insight.analyze(session, "app").layers] == [50, 0, 0]


def test_files_are_gathered_by_the_steps_that_had_to_do_with_them(session: Session) -> None:
    first = [member(f"d/sub/{n}", b"x" * n) for n in range(10)]
    found = analyzed(session, first, [member("d/other", b"z" * 7)], [member(".wh.d")])
    assert told(found) == [("deleted", 45, 9, 1, 3), ("deleted", 7, 1, 2, 3)]
    assert [e.size for e in found.waste[0].examples] == [9, 8, 7, 6, 5]
    assert [one.directory for one in found.waste] == ["/d/sub", "/d"]


def test_an_image_without_files_wastes_nothing(session: Session) -> None:
    found = analyzed(session)
    assert (found.wasted, found.efficiency, found.layers) == (0, 1.0, ())


def test_lines_are_told_and_gathered(session: Session) -> None:
    found = analyzed(
        session,
        [member("base", b"b")],
        [member("one", b"11")],
        [member("two", b"333")],
        [member(".wh.base"), member(".wh.one")],
        steps=["pybuild import", RUN, RUN, RUN],
        places=[("", 0), ("Buildfile", 2), ("Buildfile", 2), ("Buildfile", 4)],
    )
    assert [use.step.place for use in found.layers] == ["", "Buildfile:2", "Buildfile:2", "Buildfile:4"]
    assert [(line.place, line.layers, line.bytes, line.wasted) for line in found.lines] == [
        ("Buildfile:2", (2, 3), 5, 2),
        ("Buildfile:4", (4,), 0, 0),
    ]
    assert [(one.written.place, one.wasted.place) for one in found.waste] == [
        ("Buildfile:2", "Buildfile:4"),
        ("", "Buildfile:4"),
    ]
    assert "joined by &&" in found.waste[0].advice
    assert "the base has it" in found.waste[1].advice


@pytest.mark.parametrize(
    ("how", "written", "wasted", "said"),
    [
        ("deleted", RUN, RUN, "joined by &&"),
        ("deleted", COPY, RUN, ".dockerignore"),
        ("owner", COPY, RUN, "--chown"),
        ("mode", COPY, RUN, "--chmod"),
        ("replaced", COPY, COPY, "copy it once"),
        ("replaced", COPY, RUN, "--mount=type=bind"),
        ("same content", RUN, RUN, "write the same"),
        ("deleted", "", "", "stays in the image"),
        ("replaced", "WORKDIR /x", COPY, "write it once"),
    ],
)
def test_advice_goes_by_what_the_steps_are(how: str, written: str, wasted: str, said: str) -> None:
    assert said in advice(how, "opt/x", written, wasted, in_base=False, again=False)


def test_advice_for_caches_bases_and_doubles() -> None:
    lists = "var/lib/apt/lists/partial"
    assert "type=cache,target=/var/lib/apt/lists" in advice("deleted", lists, RUN, RUN, in_base=False, again=False)
    assert "cache" not in advice("deleted", lists, COPY, RUN, in_base=False, again=False)
    assert "the base has it" in advice("owner", lists, RUN, RUN, in_base=True, again=False)
    assert "has it twice" in advice("replaced", "", RUN, RUN, in_base=False, again=True)
    assert cache_of("home/me/.cache/pip/http") == "home/me/.cache/pip"
    assert cache_of("") is cache_of("usr/lib") is None


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("RUN |1 A=b /bin/sh -c x # buildkit", "RUN"),
        ("RUN <<EOF (x)", "RUN"),
        ("ADD a b", "COPY"),
        ("COPY a b", "COPY"),
        ("/bin/sh -c #(nop) COPY file:123 in / ", "COPY"),
        ("/bin/sh -c #(nop)  ADD file:123 in / ", "COPY"),
        ("/bin/sh -c apt-get update", "RUN"),
        ("|2 A=b C=d /bin/sh -c make", "RUN"),
        ("WORKDIR /x", "WORKDIR"),
        ("pybuild import x", ""),
        ("", ""),
    ],
)
def test_histories_of_several_builders_are_read(step: str, name: str) -> None:
    assert instruction(step) == name


def test_what_is_left_is_told_with_its_line(session: Session) -> None:
    big = b"x" * 20_000
    found = analyzed(
        session,
        [member("var/lib/apt/lists/one", big), member("var/lib/apt/lists/two", big), member("usr/lib/x", big)],
        [member("app/.git/objects/a", big), member("app/sub/.git/b", big + b"more"), member("tmp/x", b"small")],
        [member("usr/lib/python3/site-packages/a/tests/data", big), member("root/.cache/pip/a", big)],
        [member(".wh.tmp"), member("usr/share/tests/x", big)],
        places=[("", 0), ("Buildfile", 4), ("Buildfile", 5), ("Buildfile", 6)],
    )
    assert {(one.what, one.path, one.places, one.bytes, one.files, one.line) for one in found.leftovers} == {
        ("package lists of apt", "/var/lib/apt/lists", 1, 40_000, 2, "layer 1"),
        ("version control", "/app/sub/.git", 2, 40_004, 2, "Buildfile:4"),
        ("tests of packages", "/usr/lib/python3/site-packages/a/tests", 1, 20_000, 1, "Buildfile:5"),
        ("cache of pip", "/root/.cache/pip", 1, 20_000, 1, "Buildfile:5"),
    }
    by_what = {one.what: one.advice for one in found.leftovers}
    assert "RUN --mount=type=cache,target=/root/.cache/pip" in by_what["cache of pip"]
    assert ".dockerignore" in by_what["version control"]
