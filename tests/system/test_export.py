"""`export`: all files of a container or an image as one tar; and archives of an image are the same on every machine."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from dataclasses import replace

import pytest

from tests.support.program import Pybuild
from tests.support.rootfs import busybox_rootfs, joined, member, tar
from tests.support.user import without_ids
from tests.support.waiting import wait_for


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    return pybuild


def exported(pybuild: Pybuild, *arguments: str) -> bytes:
    command = pybuild.command("export", *arguments)
    return subprocess.run(command, cwd=pybuild.work, capture_output=True, check=True).stdout


def files(archive: bytes) -> dict[str, bytes | None]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {m.name: file.read() if (file := opened.extractfile(m)) else None for m in opened}


def test_a_container_with_what_it_changed(based: Pybuild) -> None:
    based.file("shown/x", "x")
    script = "echo new > /new; rm /etc/group; rm -r /home; mkdir /home; echo > /mnt/y"
    based("run", "--name", "c", "-v", f"{based.work}/shown:/mnt", "base", "sh", "-c", script)
    image, found = files(exported(based, "base")), files(exported(based, "c"))
    assert found["new"] == b"new\n"
    assert image.keys() - found.keys() == {"etc/group"}
    assert found.keys() - image.keys() == {"new"}, "and nothing of what was mounted"
    assert exported(based, "c") == exported(based, "c")
    based("export", "-o", "c.tar", "c")
    based("import", "c.tar", "again")
    assert files(exported(based, "again")) == found
    assert based.shell("again", "cat /new") == "new\n"


def test_a_container_that_runs(based: Pybuild) -> None:
    based("run", "-d", "--name", "c", "base", "sh", "-c", "echo up > /up; sleep 1000")
    wait_for(lambda: "up" in files(exported(based, "c")))
    assert files(exported(based, "c"))["up"] == b"up\n"
    assert based("ps", "-q").strip()
    based("rm", "-f", "c")


def test_one_that_has_changed_nothing_is_its_image(based: Pybuild) -> None:
    based("run", "--name", "c", "base", "true")
    assert exported(based, "c") == exported(based, "base")


def test_whatever_puts_stacks_together(pybuild: Pybuild) -> None:
    script = "echo new > /new; rm -r /home /etc/group; mkdir /home; touch -h -d @9 /home /new /etc"
    found = set()
    for name in ("overlay", "fuse-overlayfs", "copy"):
        own = replace(pybuild, root=pybuild.root.parent / name, env={"PYBUILD_ASSEMBLER": name})
        own.base()
        own("run", "--name", "c", "base", "sh", "-c", script)
        own("export", "-o", "c.tar", "c")
        found.add((pybuild.work / "c.tar").read_bytes())
    assert len(found) == 1


def test_of_an_image_for_several_platforms_the_one_asked_for(based: Pybuild) -> None:
    text = "FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH} /\n"
    for name in ("amd64", "arm64"):
        based.file(name, name)
    based.build(text, "--platform=linux/amd64,linux/arm64", "-t", "two").ok()
    assert files(exported(based, "--platform", "linux/arm64", "two")) == {"arm64": b"arm64"}
    assert list(files(exported(based, "two"))) == ["amd64"]


def test_what_cannot_be_exported(based: Pybuild) -> None:
    for arguments, status, message in (
        (("nothing",), 4, "there is no container and no image nothing"),
        (("--platform", "vax", "base"), 2, "vax"),
        (("-o", "missing/x.tar", "base"), 1, "cannot write missing/x.tar"),
    ):
        done = based.try_("export", *arguments)
        assert (done.returncode, message in done.stderr) == (status, True), done.stderr


# What programs write in many ways: directories no entry names, times of nanoseconds, links, owners.
AWKWARD = (
    member("implied/deep/file", b"x", mtime=5),
    member("implied/other", b"y" * 5000, uid=3, gid=4, mtime=1_000_000_000),
    member("never/named/file", b"x", mtime=7),
    member("hard/one", b"z", mode=0o4755),
    member("hard/two", kind=b"1", link="hard/one"),
    member("hard/three", kind=b"1", link="hard/one"),
    member("link", kind=b"2", link="implied"),
)
MADE = """FROM awkward
RUN rm /hard/two && echo more > /implied/deep/more && mkdir /new && mv /implied/other /new/
RUN rm -r /implied/deep && mkdir /implied/deep && ln /new/other /new/linked && touch /hard/again
RUN chmod 700 /new && mkfifo /new/fifo
"""


def test_every_machine_writes_the_same_bytes(pybuild: Pybuild, as_user: Pybuild) -> None:
    pybuild("import", "-", "awkward", input=joined(busybox_rootfs(), tar(*AWKWARD)))
    pybuild.build(MADE, "-t", "app").ok()
    archive = subprocess.run(pybuild.command("save", "app"), capture_output=True, check=True).stdout
    machines = {
        "overlay": (replace(pybuild, root=pybuild.root.parent / "overlay"), "overlay"),
        "fuse": (replace(pybuild, root=pybuild.root.parent / "fuse"), "fuse-overlayfs"),
        "copy": (replace(pybuild, root=pybuild.root.parent / "copy"), "copy"),
        "user": (as_user, "overlay"),
        "one ID": (without_ids(replace(as_user, root=as_user.root.parent / "one")), "copy"),
    }
    wanted = written(pybuild)
    for name, (program, assembler) in machines.items():
        own = replace(program, env={**program.env, "PYBUILD_ASSEMBLER": assembler})
        own("load", "-q", input=archive)
        assert written(own) == wanted, name


def written(program: Pybuild) -> dict[str, str]:
    """The digest of each kind of archive of `app`."""
    commands = {
        "oci": ("save", "--format", "oci", "--compression", "gzip", "app"),
        "docker": ("save", "app"),
        "tar": ("export", "app"),
    }
    found = {}
    for kind, arguments in commands.items():
        program(*arguments, "-o", "archive")
        found[kind] = hashlib.sha256((program.work / "archive").read_bytes()).hexdigest()
    return found
