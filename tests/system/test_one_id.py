"""A user without subordinate IDs gets the same image as root: other owners are emulated and recorded."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from tests.support.program import Pybuild
from tests.support.rootfs import busybox_rootfs, directory, joined, member, tar
from tests.support.tree import listing
from tests.support.user import without_ids

EPOCH = "1000000000"
# What a step made gets one time, so that even digests can be compared.
DATED = f"find / -xdev -newer /base ! -path /dev ! -path /proc ! -path /sys -exec touch -h -d @{EPOCH} {{}} +"
# What other users own, which COPY and RUN then meet in a layer from outside.
FOREIGN = (
    member("base", mtime=1), directory("proc"), directory("sys"), directory("dev"),
    member("etc/shadow", b"root:*:::::::\n", mode=0o640, gid=42),
    member("usr/setuid", b"x", mode=0o4755, uid=8, gid=9),
    member("usr/link", kind=b"2", link="setuid", uid=60000, gid=60001),
    member("usr/hard", kind=b"1", link="usr/setuid", uid=8, gid=9),
    member("usr/pipe", kind=b"6", mode=0o620, uid=3, gid=4),
    member("usr/zero", kind=b"3", mode=0o666, devmajor=1, devminor=5),
    member("usr/disk", kind=b"4", mode=0o660, gid=6, devmajor=8, devminor=300),
    member("srv", kind=b"5", mode=0o2775, gid=50),
)  # fmt: skip


@pytest.fixture
def one_id(as_user: Pybuild) -> Pybuild:
    """The program as a user without subordinate IDs."""
    return without_ids(as_user)


def image(program: Pybuild, text: str) -> tuple[list[str], list[str], list[str]]:
    """What lies in the image built, the digests of its layers, and what its steps printed but for the minute of ls."""
    program("import", "-", "base", input=joined(busybox_rootfs(), tar(*FOREIGN)))
    program.file("file", "content")
    arguments = ("--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}", "-t", "app", "-o", "type=tar,dest=tree.tar")
    done = program.build(text, *arguments).ok()
    said = re.sub(r" [A-Z][a-z]{2} [ \d]\d \d\d:\d\d ", " NOW ", done.err)
    printed = re.findall(r"^#\d+ \d+\.\d+ (.*)$", said, re.MULTILINE)
    return listing(program.work / "tree.tar"), json.loads(program("inspect", "app"))[0]["RootFS"]["Layers"], printed


STEPS = {
    "owners, archives and bits": """
        # chown -R of files, links, devices and what was there
        RUN mkdir -p /d/e && echo x > /d/f && ln /d/f /d/h && ln -s f /d/l && mkfifo /d/p && mknod /d/n c 1 3 && \\
            cp -a /usr/setuid /usr/link /d && chown -R 5:6 /d && chown -h 7:8 /d/l && chown :99 /usr/setuid && DATED
        RUN ls -lnR /d /usr/setuid /usr/zero /usr/disk | cut -c-55; chown -R 0:0 /d/e /usr/link && DATED
        # archives with foreign owners, to and fro
        RUN mkdir /t && cd /t && mkdir -m 2750 g && echo 1 > g/a && chown -R 1000:50 g && chmod u+s g/a && \\
            ln -s a g/l && chown -h 65534:65533 g/l && tar c g -f /t.tar && rm -r g && tar x -f /t.tar && \\
            tar tvf /t.tar | sed 's/....-..-.. ..:..:..//' && ls -ln g | cut -c-55 && \\
            rm /t.tar && DATED
        # the bits that chown clears and chmod sets
        RUN echo x > /f && chmod 6755 /f && chown 1:1 /f && stat -c %a /f && chmod 2644 /f && chown 2:2 /f && \\
            stat -c '%a %u %g' /f && chmod 4711 /f && cp -p /f /g && mv /g /h && stat -c '%a %u:%g' /f /h && DATED""",
    "users, groups handed on, files moved about, a root of its own": """
        # a user and what is its
        RUN echo bob:x:1234:1234::/home/bob:/bin/sh >> /etc/passwd && mkdir /home/bob && chown bob /home/bob && \\
            su bob -c 'id; touch ~/mine; mkdir ~/dir; ln -s x ~/link; mkfifo ~/pipe' && \\
            ls -ln /home/bob | cut -c-55 && stat -c '%a %u:%g' /etc/shadow && DATED
        # directories that hand their group on
        RUN touch /srv/f && mkdir /srv/d && ln -s f /srv/l && mknod /srv/n b 8 1 && ls -ln /srv | \\
            sed 's/... .. ..:..//' && chgrp 7 /srv && touch /srv/d/g && DATED
        # renamed, linked, written to, replaced
        RUN chown 1:2 /etc/group && mv /etc/group /etc/g && ln /etc/g /etc/group; echo x >> /etc/g && \\
            rm /usr/hard && ln /usr/setuid /usr/hard2 && rm /usr/pipe && touch /usr/pipe && \\
            mv /usr/zero /usr/zero2 && ls -lnR /etc /usr | cut -c-55 && DATED
        # a root of its own
        RUN mkdir -p /r/etc /r/home && cp -a /bin /r && cp /etc/passwd /r/etc && ln -s /home /r/way && \\
            chroot /r sh -c 'echo x > /way/f; chown 7:8 /way/f /home; cd /home; ls -ln . /way/f; \\
            echo y > g; chown 9 g' | cut -c-55 && rm -r /r/bin && ls -lnR /r | cut -c-55 && DATED""",
    "USER and COPY": """
        # USER
        USER 12:34
        RUN id; touch /tmp/a; mkdir /tmp/b; ln -s a /tmp/c; (umask 77; echo x > /tmp/d); chown 5 /tmp/a || echo no; \\
            chgrp 34 /tmp/d && mknod /tmp/n c 1 3 || echo no; ls -ln /tmp | cut -c-55; DATED 2>/dev/null || true
        WORKDIR /work/dir
        USER alice
        RUN id; echo $HOME; touch /tmp/alice; DATED 2>/dev/null || true
        USER 0
        RUN DATED
        # COPY
        COPY --chown=alice file /a
        COPY --chown=70000:70001 file /b/c/
        COPY --from=base /usr /usr2
        COPY --from=base --chown=1:2 /usr /usr3
        RUN ls -lnR /a /b /usr2 /usr3 | cut -c-55; DATED""",
}  # fmt: skip


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS.keys())
def test_one_id_gives_what_root_gives(pybuild: Pybuild, one_id: Pybuild, steps: str) -> None:
    text = f"FROM base\n{steps.replace('DATED', DATED)}\n"
    found, expected = image(one_id, text), image(pybuild, text)
    assert found[0] == expected[0]
    assert found[2] == expected[2]
    if "COPY" not in steps and "WORKDIR" not in steps:  # directories these make have the time they are made at
        assert found[1] == expected[1]


def test_devices_of_images_are_kept_where_only_other_ids_are_real(pybuild: Pybuild, as_user: Pybuild) -> None:
    text = "FROM base\nCOPY --from=base /usr /usr2\nRUN mv /usr2/disk /usr2/moved\n"
    found, expected = image(as_user, text), image(pybuild, text)
    assert found[0] == expected[0]
    assert any(line.startswith("usr2/moved b'4' 660 0:6  8,300") for line in found[0])


def test_the_build_says_so_once(one_id: Pybuild) -> None:
    one_id.base()
    done = one_id.build("FROM base\nRUN id -u\nRUN id -g\n").ok()
    assert done.err.count("other users are emulated") == 1
    assert "usermod --add-subuids" in done.err
    assert Path("/etc/subuid").read_text()


def test_all_files_of_the_store_are_the_users(one_id: Pybuild) -> None:
    image(one_id, "FROM base\nRUN chown -R 5:6 /home /usr\n")
    owner = one_id.root.stat().st_uid
    assert {path.lstat().st_uid for path in one_id.root.rglob("*")} == {owner}
    modes = {stat.S_IFMT(path.lstat().st_mode) for path in one_id.root.rglob("*")}
    assert not modes & {stat.S_IFCHR, stat.S_IFBLK} or os.geteuid() == 0


def test_a_process_that_gave_its_ids_away_does_not_get_them_back(one_id: Pybuild) -> None:
    one_id.base()
    done = one_id.build("FROM base\nRUN su alice -c 'su -c id; chown 0 /tmp; id -u' || true\n").ok()
    assert "uid=0" not in done.err


def test_what_lay_in_the_store_before_serves_again(as_user: Pybuild, one_id: Pybuild) -> None:
    """An administrator gives a user subordinate IDs, or takes them away: layers are unpacked anew."""
    text = (
        "FROM base\nRUN chown 5:6 /home && mknod /pipe p && chown 7:8 /pipe\nRUN ls -ln / | sed -n '/home\\|pipe/p'\n"
    )
    as_user.base()
    for program in (one_id, as_user, one_id):
        done = program.build(text, "--no-cache").ok()
        assert re.search(r"5 +6 .* home", done.err), done.err
        assert re.search(r"7 +8 .* pipe", done.err), done.err
        assert program("run", "--rm", "base", "id", "-u") == "0\n"


def test_what_a_failed_step_left_is_seen_as_it_saw_it(one_id: Pybuild) -> None:
    one_id.base()
    failing = "FROM base\nRUN echo x > /mine && chown 5:6 /mine && mkdir /d && chown 7 /d && exit 3\n"
    one_id.build(failing, "--on-fail-export", "/mine:got")
    assert one_id("shell", "--failed", "-c", "stat -c %u:%g /mine /d; id -u") == "5:6\n7:0\n0\n"
    assert one_id("shell", "--failed", "--before", "-c", "ls -d /mine /d || echo neither").endswith("neither\n")
    assert (one_id.work / "got").stat().st_uid == one_id.work.stat().st_uid


def test_a_container_is_joined_by_commands_that_are_emulated_too(one_id: Pybuild) -> None:
    one_id.base()
    one_id("run", "-d", "--name", "one", "base", "sh", "-c", "chown 5:6 /home; touch /ready; sleep 100")
    wait = "until test -e /ready; do sleep 0.1; done; stat -c %u:%g /home; chown 7:8 /home; su alice -c 'id -u'"
    assert one_id("exec", "one", "sh", "-c", wait).split() == ["5:6", "1000"]
    assert one_id("exec", "--user", "alice", "one", "stat", "-c", "%u:%g", "/home") == "7:8\n"
    one_id("rm", "-f", "one")
