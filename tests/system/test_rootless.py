"""An ordinary user with subordinate IDs gets the same image as root."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest

from tests.support.program import Pybuild

TEXT = """FROM base
RUN mkdir /d && echo x > /d/f && ln /d/f /d/h && ln -s f /d/l && chown 1000:50 /d/f && chmod 4755 /d/f
RUN rm -r /home && mkdir /home && echo new > /home/n
COPY --chown=alice file /copied
WORKDIR /w
USER 12:34
RUN id -u > /tmp/id; touch /tmp/owned
CMD ["sh", "-c", "id -u; cat /tmp/id"]
"""


def test_a_user_builds_what_root_builds(pybuild: Pybuild, as_user: Pybuild) -> None:
    ids = []
    for program in (pybuild, as_user):
        program.base()
        program.file("file", "content")
        program.build(TEXT, "-t", "app", "-o", "type=tar,dest=tree.tar").ok()
        tree = subprocess.run(
            ["tar", "tvf", program.work / "tree.tar", "--numeric-owner"], capture_output=True, text=True, check=True
        ).stdout
        ids.append(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "", tree))
        assert program("run", "--rm", "app") == "12\n12\n"
        assert program.build(TEXT).ok().ran == []
    assert ids[0] == ids[1]
    assert "1000/50" in ids[0]


def test_a_users_step_is_isolated(as_user: Pybuild) -> None:
    as_user.base()
    as_user.build(
        "FROM base\nRUN cat /proc/self/uid_map > /map; grep CapBnd /proc/self/status > /caps\n", "-t", "app"
    ).ok()
    assert as_user.shell("app", "wc -l < /map; cat /caps").split() == ["2", "CapBnd:", "00000000a80425fb"]
    if os.geteuid() == 0:
        assert as_user.root.stat().st_uid != 0
        assert all(p.lstat().st_uid != 0 for p in as_user.root.rglob("*"))


@pytest.mark.parametrize("line", ["COPY --chown=100000:0 Buildfile /", "USER 100000\nWORKDIR /w"])
def test_an_owner_that_cannot_be_is_told_of(as_user: Pybuild, line: str) -> None:
    done = as_user.build(f"FROM scratch\n{line}\n")
    assert done.status == 7
    assert "nothing can belong to 100000" in done.err


def test_a_users_containers_come_and_go(as_user: Pybuild) -> None:
    as_user.base()
    assert (
        as_user.try_("run", "--name", "one", "base", "sh", "-c", "mkdir -m 0 /locked; touch /x; exit 4").returncode == 4
    )
    assert json.loads(as_user("ps", "-a", "--format", "json"))[0]["container"]["status"] == 4
    as_user("rm", "one")
    assert not list((as_user.root / "containers").iterdir())


def test_nothing_in_the_store_is_open_to_others(as_user: Pybuild) -> None:
    as_user.base()
    assert as_user.root.stat().st_mode & 0o077 == 0
