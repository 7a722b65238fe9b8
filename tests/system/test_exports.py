"""Files copied out of steps: of one that fails, and of those that succeed."""

from __future__ import annotations

import os
import stat

import pytest

from tests.support.program import Pybuild
from tests.support.rootfs import GROUP, PASSWD

FAILS = """\
FROM base AS build
RUN mkdir -p /out/in && echo before > /out/in/a && chmod 0750 /out/in
RUN echo report > /out/report && cp /bin/busybox /out/prog && chmod 6755 /out/prog && ln -s /etc/passwd /out/link \\
    && ln -s ../../../../../etc/hostname /up && chown 1000:1000 /out/report && exit 4
"""


def export(pybuild: Pybuild, *wanted: str, text: str = FAILS) -> str:
    pybuild.base()
    built = pybuild.build(text, *(word for one in wanted for word in ("--on-fail-export", one)))
    assert built.status == 1
    return built.err


def test_a_directory_and_a_file_of_the_step_that_failed(pybuild: Pybuild) -> None:
    err = export(pybuild, "/out:got", "/out/report:one/name.txt", "/out/report:two/")
    assert "exported /out to got" in err
    got = pybuild.work / "got"
    assert (got / "in/a").read_text() == "before\n", "what the layers below have is there too"
    assert stat.S_IMODE((got / "in").stat().st_mode) == 0o750
    assert (got / "report").read_text() == "report\n"
    assert (got / "report").stat().st_uid == os.geteuid()
    assert stat.S_IMODE((got / "prog").stat().st_mode) == 0o755, "no setuid, no setgid"
    assert os.readlink(got / "link") == "/etc/passwd"
    assert (pybuild.work / "one/name.txt").read_text() == "report\n"
    assert (pybuild.work / "two/report").read_text() == "report\n"


def test_links_stay_inside(pybuild: Pybuild) -> None:
    err = export(pybuild, "/out/link:passwd", "/up:host", "../../../../etc/group:group")
    assert (pybuild.work / "passwd").read_text() == PASSWD, "the step's, not the host's"
    assert (pybuild.work / "group").read_text() == GROUP
    assert "/up is not exported to host" in err
    assert not (pybuild.work / "host").exists()


def test_a_link_at_the_destination_leads_nowhere(pybuild: Pybuild) -> None:
    outside = pybuild.work / "outside"
    outside.mkdir()
    (pybuild.work / "got").mkdir()
    (pybuild.work / "got/in").symlink_to(outside)
    (pybuild.work / "got/report").symlink_to(outside / "report")
    export(pybuild, "/out:got")
    assert list(outside.iterdir()) == []
    assert (pybuild.work / "got/in/a").read_text() == "before\n"


def test_what_is_not_there_is_a_warning(pybuild: Pybuild) -> None:
    err = export(pybuild, "/nothing:got", "/out/report:got")
    assert "WARNING: /nothing is not exported to got: /nothing is not there" in err
    assert (pybuild.work / "got").read_text() == "report\n"
    assert "exit code: 4" in err


def test_a_destination_that_cannot_be_is_a_warning(pybuild: Pybuild) -> None:
    pybuild.file("file", "x")
    err = export(pybuild, "/out:file", "/out/report:file/in")
    assert err.count("WARNING: ") == 2
    assert (pybuild.work / "file").read_text() == "x"


def test_nothing_need_be_kept(pybuild: Pybuild) -> None:
    pybuild.base()
    built = pybuild.build(FAILS, "--on-fail-export", "/out/report:got", "--keep-failed", "0")
    assert (pybuild.work / "got").read_text() == "report\n"
    assert "shell --failed" not in built.err
    assert list((pybuild.root / "failed").iterdir()) == []


def test_an_ordinary_user_gets_files_of_its_own(as_user: Pybuild) -> None:
    export(as_user, "/out:got")
    owner = (as_user.work).stat().st_uid
    assert {p.lstat().st_uid for p in (as_user.work / "got").rglob("*")} == {owner}
    as_user.build("FROM base AS s\nRUN echo x > /x && chown 5:5 /x\n", "--step-export", "s:/x:x").ok()
    assert (as_user.work / "x").stat().st_uid == owner


STEPS = """\
FROM base AS first
RUN echo one > /x
RUN echo two > /x
FROM first
RUN echo three > /x
"""


@pytest.mark.parametrize("again", [False, True], ids=["run", "cached"])
def test_steps_that_succeed(pybuild: Pybuild, again: bool) -> None:
    pybuild.base()
    if again:
        pybuild.build(STEPS).ok()
    pybuild.build(
        STEPS, "--step-export", "2:/x:line2", "--step-export", "Buildfile:3:/x:line3",
        "--step-export", "FIRST:/x:stage", "--step-export", "5:x:line5",
    ).ok()  # fmt: skip
    got = [(pybuild.work / name).read_text() for name in ("line2", "line3", "stage", "line5")]
    assert got == ["one\n", "two\n", "two\n", "three\n"]


def test_steps_that_were_done_before_one_failed(pybuild: Pybuild) -> None:
    pybuild.base()
    built = pybuild.build(STEPS + "RUN false\nRUN never\n", "--step-export", "first:/x:x", "--step-export", "7:/x:y")
    assert built.status == 1
    assert (pybuild.work / "x").read_text() == "two\n"
    assert not (pybuild.work / "y").exists()


def test_what_a_successful_step_lacks_is_an_error(pybuild: Pybuild) -> None:
    pybuild.base()
    built = pybuild.build(STEPS, "--step-export", "first:/nothing:x")
    assert built.status == 4
    assert "/nothing is not there" in built.err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--on-fail-export", "/only", "it must be PATH:DEST"),
        ("--on-fail-export", ":x", "it must be PATH:DEST"),
        ("--step-export", "/x:y", "it must be STEP:PATH:DEST"),
        ("--step-export", "none:/x:y", "no step of this build is in a stage none"),
        ("--step-export", "77:/x:y", "no step of this build is on line 77"),
        ("--step-export", "Other:2:/x:y", "the Buildfile is Buildfile"),
    ],
)
def test_what_cannot_be_meant_so(pybuild: Pybuild, option: str, value: str, message: str) -> None:
    pybuild.base()
    built = pybuild.build(STEPS, option, value)
    assert built.status == 2
    assert message in built.err
    assert not built.ran, "it is noticed before anything runs"
