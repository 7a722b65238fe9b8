"""What a container changed: `diff`, `commit` and `cp`."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import Pybuild
from tests.support.rootfs import directory, member, tar
from tests.support.waiting import wait_for

BASE = """
FROM base
RUN mkdir -p /data/full/sub /data/gone && echo one > /data/full/a && echo two > /data/full/sub/b \
 && echo old > /data/changed && ln -s changed /data/link && echo x > /data/gone/x
ENV FROM_IMAGE=1 BOTH=image
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo default"]
USER root
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `data`, an image with some files on busybox."""
    path = tmp_path_factory.mktemp("commit")
    pybuild = Pybuild(path / "store", path)
    pybuild.base()
    pybuild.build(BASE, "-t", "data").ok()
    return pybuild.root


@pytest.fixture
def based(store: Path, tmp_path: Path) -> Iterator[Pybuild]:
    """The program on that store; a test's containers go with it, and no mount stays."""
    pybuild = Pybuild(store, tmp_path)
    yield pybuild
    for path in (store / "containers").iterdir():
        pybuild("rm", "-f", path.name)
    assert not list((store / "tmp").iterdir())
    assert str(store) not in Path("/proc/self/mountinfo").read_text()


def made(pybuild: Pybuild, script: str, *options: str, image: str = "data") -> str:
    """A container called `c` that has run `script` and ended."""
    return pybuild("run", "--name", "c", *options, "--entrypoint", "", image, "sh", "-c", script)


def config(pybuild: Pybuild, image: str) -> dict[str, object]:
    (found,) = json.loads(pybuild("inspect", image))
    assert isinstance(found, dict)
    return found


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {info.name: info for info in archive.getmembers()}


def streamed(pybuild: Pybuild, source: str) -> bytes:
    """The tar that `cp SOURCE -` writes."""
    process = pybuild.start("cp", source, "-")
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out


# --- diff ----------------------------------------------------------------------------------------


def test_diff_as_docker_shows_it(based: Pybuild) -> None:
    made(
        based,
        "echo new > /data/changed; rm -r /data/gone; mkdir /new; echo 1 > /new/file; touch /made; rm /made;"
        "rm -r /data/full; mkdir /data/full; echo again > /data/full/a; echo more > /data/full/c",
    )
    assert based("diff", "c").splitlines() == [
        "C /data",
        "C /data/changed",
        "C /data/full",
        "C /data/full/a",
        "A /data/full/c",
        "D /data/full/sub",
        "D /data/gone",
        "A /new",
        "A /new/file",
    ]
    found = json.loads(based("diff", "--format", "json", "c"))
    assert {"Path": "/data/gone", "Kind": 2} in found
    assert {"Path": "/new", "Kind": 1} in found
    assert {"Path": "/data", "Kind": 0} in found


def test_diff_of_no_change_is_empty(based: Pybuild) -> None:
    made(based, "cat /data/changed > /dev/null")
    assert based("diff", "c") == ""


def test_unknown_containers(based: Pybuild) -> None:
    for arguments in (("diff", "none"), ("commit", "none"), ("cp", "none:/x", "."), ("cp", ".", "none:/x")):
        done = based.try_(*arguments)
        assert done.returncode == 4
        assert "no such container: none" in done.stderr


# --- commit --------------------------------------------------------------------------------------


def test_a_committed_container_runs_as_it_was(based: Pybuild) -> None:
    made(based, "echo new > /data/changed; rm -r /data/gone; chmod 700 /data; chown 12:34 /data/link -h")
    identifier = based("commit", "c", "image").strip()
    assert identifier == config(based, "image")["Id"]
    shown = based.shell("image", "cat /data/changed; ls /data; stat -c %a /data; stat -c %u:%g /data/link")
    assert shown == "new\nchanged\nfull\nlink\n700\n12:34\n"
    # the container has kept its changes
    assert "C /data/changed" in based("diff", "c")
    based("rm", "c")
    assert based.shell("image", "cat /data/changed") == "new\n"


def test_config_is_the_images_with_the_words_of_run(based: Pybuild) -> None:
    based("run", "--name", "c", "-e", "BOTH=run", "-e", "OWN=1", "-w", "/data", "-u", "12:34", "data", "echo own words")
    based("commit", "-a", "Somebody", "-m", "by hand", "c", "image:v2")
    found = config(based, "image:v2")
    assert found["Author"] == "Somebody"
    inner = found["Config"]
    assert isinstance(inner, dict)
    assert inner["Env"][1:] == ["FROM_IMAGE=1", "BOTH=run", "OWN=1"]
    assert (inner["WorkingDir"], inner["User"]) == ("/data", "12:34")
    assert (inner["Entrypoint"], inner["Cmd"]) == (["/bin/sh", "-c"], ["echo own words"])
    newest = json.loads(based("history", "--format", "json", "image:v2"))[0]
    assert (newest["created_by"], newest["comment"]) == ("echo own words", "by hand")


def test_without_changed_files_no_layer_is_added(based: Pybuild) -> None:
    made(based, "true")
    based("commit", "-c", "LABEL a=b", "c", "image")
    before, after = config(based, "data"), config(based, "image")
    assert before["RootFS"] == after["RootFS"]
    assert json.loads(based("history", "--format", "json", "image"))[0]["size"] == 0
    assert based.shell("image", "cat /data/changed") == "old\n"


def test_changes_of_the_config(based: Pybuild) -> None:
    made(based, "true")
    changes = (
        'CMD ["a"]', "ENV A=$BOTH", "EXPOSE 80", "LABEL l=1", "ONBUILD RUN true", "STOPSIGNAL SIGINT", "USER 5",
        "VOLUME /v", "WORKDIR /w", "HEALTHCHECK NONE", 'ENTRYPOINT ["e"]',
    )  # fmt: skip
    based("commit", *(word for change in changes for word in ("-c", change)), "c", "image")
    inner = config(based, "image")["Config"]
    assert isinstance(inner, dict)
    assert (inner["Cmd"], inner["Entrypoint"], inner["User"], inner["WorkingDir"]) == (["a"], ["e"], "5", "/w")
    assert "A=image" in inner["Env"]
    assert (inner["ExposedPorts"], inner["Volumes"], inner["Labels"]) == ({"80/tcp": {}}, {"/v": {}}, {"l": "1"})
    assert (inner["OnBuild"], inner["StopSignal"]) == (["RUN true"], "SIGINT")
    assert inner["Healthcheck"] == {"Test": ["NONE"]}


def test_wrong_changes_make_no_image(based: Pybuild) -> None:
    made(based, "true")
    images = based("images", "--json")
    for change in ("RUN true", "FROM x", "CMDX", "EXPOSE nothing"):
        done = based.try_("commit", "--change", change, "c", "image")
        assert done.returncode == 2
        assert "--change:1" in done.stderr
    assert based("images", "--json") == images


def test_without_a_name(based: Pybuild) -> None:
    made(based, "touch /x")
    identifier = based("commit", "--pause=true", "c").strip()
    assert based.shell(identifier, "ls /x") == "/x\n"
    based("rmi", identifier)


def test_other_programs_read_a_committed_image(based: Pybuild, tmp_path: Path) -> None:
    made(based, "echo new > /data/changed; rm -r /data/gone")
    based("commit", "c", "image:v1")
    based("save", "--format", "oci", "--compression", "gzip", "-o", "image.tar", "image:v1")
    layout = tmp_path / "layout"
    copy = ("skopeo", "copy", "--quiet", f"oci-archive:{tmp_path}/image.tar", f"oci:{layout}:v1")
    subprocess.run(copy, check=True)
    bundle = tmp_path / "bundle"
    unpack = ("umoci", "unpack", "--rootless", "--image", f"{layout}:v1", bundle)
    subprocess.run(unpack, check=True, capture_output=True)
    assert (bundle / "rootfs/data/changed").read_text() == "new\n"
    assert sorted(path.name for path in (bundle / "rootfs/data").iterdir()) == ["changed", "full", "link"]


def test_a_commit_is_built_on(based: Pybuild) -> None:
    made(based, "echo new > /data/changed")
    based("commit", "c", "image")
    based.build("FROM image\nRUN cat /data/changed > /copy", "-t", "built").ok()
    assert based.shell("built", "cat /copy") == "new\n"


# --- cp out --------------------------------------------------------------------------------------


def test_files_out(based: Pybuild) -> None:
    made(based, "chown 12:34 /data/changed; chmod 4750 /data/changed; touch -d @1000000000 /data/changed")
    based("cp", "c:/data/changed", "here")
    status = (based.work / "here").stat()
    assert (based.work / "here").read_text() == "old\n"
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    assert status.st_mtime == 1_000_000_000
    assert stat.S_IMODE(status.st_mode) == 0o750  # nothing of a container becomes setuid to whoever copies it
    based("cp", "-a", "c:/data/changed", "here")
    status = (based.work / "here").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o4750)
    (based.work / "into").mkdir()
    based("cp", "c:data/changed", "into")
    based("cp", "c:data/full/a", "into/")
    assert sorted(os.listdir(based.work / "into")) == ["a", "changed"]


def test_directories_out(based: Pybuild) -> None:
    made(based, "ln /data/full/a /data/full/sub/hard")
    work = based.work
    based("cp", "c:/data/full", "new")
    assert sorted(os.listdir(work / "new")) == ["a", "sub"]
    assert (work / "new/a").stat().st_ino == (work / "new/sub/hard").stat().st_ino
    based("cp", "c:/data/full", "new")
    assert (work / "new/full/sub/b").read_text() == "two\n"
    (work / "content").mkdir()
    (work / "content/kept").touch()
    based("cp", "c:/data/full/.", "content")
    assert sorted(os.listdir(work / "content")) == ["a", "kept", "sub"]
    based("cp", "c:/", "all")
    assert (work / "all/data/link").is_symlink()
    assert (work / "all/etc/passwd").exists()


def test_links_out(based: Pybuild) -> None:
    made(based, "ln -s /etc /to-etc; ln -s ../../../../etc/shadow /data/climbs")
    based("cp", "c:/data/link", "link")
    assert os.readlink(based.work / "link") == "changed"
    based("cp", "-L", "c:/data/link", "file")
    assert (based.work / "file").read_text() == "old\n"
    # A link on the way, or at the end with a slash, is followed in the container.
    based("cp", "c:/to-etc/passwd", "passwd")
    assert "alice" in (based.work / "passwd").read_text()
    based("cp", "c:/to-etc/.", "etc")
    assert "alice" in (based.work / "etc/passwd").read_text()
    done = based.try_("cp", "-L", "c:/data/climbs", "shadow")
    assert done.returncode == 4
    assert "c:/data/climbs does not exist" in done.stderr
    assert not (based.work / "shadow").exists()


def test_a_tar_out(based: Pybuild) -> None:
    made(based, "chown 12:34 /data/full/a")
    found = members(streamed(based, "c:/data/full"))
    assert sorted(found) == ["full", "full/a", "full/sub", "full/sub/b"]
    assert (found["full/a"].uid, found["full/a"].gid) == (12, 34)
    assert sorted(members(streamed(based, "c:/data/full/."))) == ["a", "sub", "sub/b"]
    assert list(members(streamed(based, "c:/data/full/a"))) == ["a"]
    assert members(streamed(based, "c:/data/link"))["link"].linkname == "changed"


def test_a_container_stays_until_it_is_copied(based: Pybuild) -> None:
    made(based, "true")
    copying = based.start("cp", "c:/bin/busybox", "-")
    assert copying.stdout is not None
    begin = copying.stdout.read(1)
    removing = based.start("rm", "c")
    rest = copying.stdout.read()
    assert (copying.wait(), removing.wait()) == (0, 0)
    assert list(members(begin + rest)) == ["busybox"]
    assert based.try_("diff", "c").returncode == 4
    for process in (copying, removing):
        process.communicate()


def test_devices_stay_there(based: Pybuild) -> None:
    made(based, "mkdir /nodes; mknod /nodes/null c 1 3; mkfifo /nodes/fifo; touch /nodes/file")
    done = based.try_("cp", "c:/nodes", ".")
    assert done.returncode == 0
    assert "1 devices were left out" in done.stderr
    assert sorted(os.listdir(based.work / "nodes")) == ["fifo", "file"]
    assert members(streamed(based, "c:/nodes"))["nodes/null"].ischr()


def test_what_cannot_be_copied_out(based: Pybuild) -> None:
    made(based, "true")
    (based.work / "file").touch()
    (based.work / "dir/full").mkdir(parents=True)
    (based.work / "dir/changed").mkdir()
    for status, message, *arguments in (
        (4, "c:/none does not exist", "c:/none", "."),
        (4, "c:/data/changed/x does not exist", "c:/data/changed/x", "."),
        (2, "c:/data/changed is not a directory", "c:/data/changed/", "."),
        (4, f"{based.work}/no does not exist", "c:/data/changed", "no/file"),
        (2, f"the directory {based.work}/no does not exist", "c:/data/changed", "no/"),
        (2, "cannot be copied onto the file", "c:/data/full", "file"),
        (2, "is not a directory", "c:/data/changed", "file/"),
        (2, "changed exists and is a directory", "c:/data/changed", "dir"),
        (2, "between two containers", "c:/data", "c:/x"),
        (2, "must be CONTAINER:PATH", "file", "dir"),
    ):
        done = based.try_("cp", *map(str, arguments))
        assert (done.returncode, str(message) in done.stderr) == (status, True), done.stderr
    assert (based.work / "file").read_text() == ""


# --- cp in ---------------------------------------------------------------------------------------


def test_files_in(based: Pybuild) -> None:
    made(based, "true")
    source = based.file("source", "from here\n", 0o640)
    os.chown(source, 12, 34)
    os.utime(source, (1_000_000_000, 1_000_000_000))
    based("cp", "source", "c:/data/new")
    based("cp", "-a", "source", "c:/data/owned")
    based("cp", "source", "c:/data/full")
    based("cp", "source", "c:/data/changed")
    based("cp", "source", "c:/data/link")  # a link at the destination is followed
    based("commit", "c", "image")
    shown = based.shell("image", "cd /data; cat link; stat -c '%n %u:%g %a %Y' new owned full/source changed; ls full")
    assert shown.splitlines() == [
        "from here",
        "new 0:0 640 1000000000",
        "owned 12:34 640 1000000000",
        "full/source 0:0 640 1000000000",
        "changed 0:0 640 1000000000",
        "a",
        "source",
        "sub",
    ]


def test_directories_in(based: Pybuild) -> None:
    made(based, "true")
    tree = based.work / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/file").write_text("x")
    (tree / "link").symlink_to("/etc/passwd")
    os.link(tree / "sub/file", tree / "hard")
    based("cp", "tree", "c:/new")
    based("cp", "tree", "c:/data")
    based("cp", "tree/.", "c:/data/full")
    based("commit", "c", "image")
    shown = based.shell("image", "ls /new /data/tree /data/full; readlink /new/link; stat -c %h /new/hard")
    assert shown.split() == [
        *("/data/full:", "a", "hard", "link", "sub"),
        *("/data/tree:", "hard", "link", "sub"),
        *("/new:", "hard", "link", "sub"),
        *("/etc/passwd", "2"),
    ]
    assert based.shell("image", "cat /data/full/sub/b /data/full/sub/file") == "two\nx"


def test_links_of_a_container_lead_nowhere_else(based: Pybuild, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    made(
        based,
        f"ln -s {outside} /abs; ln -s ../../../../../../../../..{outside} /data/rel; ln -s {outside}/file /data/f;"
        f"mkdir -p {outside}; echo theirs > {outside}/file; rm -r /data/full; ln -s /abs /data/full",
    )
    based.file("file", "copied")
    for target in ("c:/abs/file", "c:/data/rel/file", "c:/data/f", "c:/abs", "c:/data/full/", f"c:{outside}"):
        based("cp", "file", target)
    tree = based.work / "tree/full"
    tree.mkdir(parents=True)
    (tree / "file").write_text("copied")
    done = based.try_("cp", "tree/.", "c:/data")  # the link is no directory
    assert done.returncode == 2
    assert "full exists and is no directory" in done.stderr
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "mine"
    based("cp", "c:/abs/file", "out")
    assert (based.work / "out").read_text() == "copied"


def test_a_tar_in(based: Pybuild) -> None:
    made(based, "true")
    archive = tar(directory("d"), member("d/file", b"1", uid=12, gid=34, mode=0o600), member(".wh.a", b"no whiteout"))
    based("cp", "-", "c:/data/full", input=archive)
    found = members(streamed(based, "c:/data/full"))
    assert (found["full/d/file"].uid, found["full/d/file"].gid, found["full/d/file"].mode) == (12, 34, 0o600)
    assert "full/a" in found
    assert "full/.wh.a" in found
    for status, data, target in (
        (5, tar(member("../x")), "c:/data"),
        (5, b"nonsense" * 1000, "c:/data"),
        (5, archive[:600], "c:/data"),
        (2, archive, "c:/data/changed"),
        (2, archive, "c:/none"),
    ):
        assert based.try_("cp", "-", target, input=data).returncode == status


def test_what_cannot_be_copied_in(based: Pybuild) -> None:
    made(based, "true")
    based.file("file", "x")
    (based.work / "changed").mkdir()
    (based.work / "full").write_text("x")
    for status, message, *arguments in (
        (4, "none does not exist", "none", "c:/"),
        (4, "c:/no/file cannot be made: /no does not exist", "file", "c:/no/file"),
        (2, "the directory c:/no does not exist", "file", "c:/no/"),
        (2, "is not a directory", "file", "c:/data/changed/"),
        (2, "is not a directory", "file/", "c:/data"),
        (2, "cannot be copied onto the file", "changed", "c:/data/changed"),
        (2, "changed exists and is no directory", "changed", "c:/data"),
        (2, "full exists and is a directory", "full", "c:/data"),
    ):
        done = based.try_("cp", *map(str, arguments))
        assert (done.returncode, str(message) in done.stderr) == (status, True), done.stderr
    assert based("diff", "c") == ""


# --- of a container that runs --------------------------------------------------------------------


def test_while_it_runs(based: Pybuild) -> None:
    loop = "mkfifo /go; while :; do echo more >> /data/log; done & echo new > /data/changed; cat /go"
    mount = based.work / "mounted"
    mount.mkdir()
    options = ("-d", "--name", "c", "-v", f"{mount}:/mounted", "--entrypoint", "")
    based("run", *options, "data", "sh", "-c", loop)
    wait_for(lambda: "A /data/log" in based("diff", "c"))
    wait_for(lambda: "C /data/changed" in based("diff", "c"))
    based("cp", "c:/data", "data")
    assert (based.work / "data/changed").read_text() == "new\n"
    assert set((based.work / "data/log").read_text().split()) == {"more"}
    based.file("file", "from here")
    based("cp", "file", "c:/data/changed")
    based("cp", "file", "c:/mounted")  # a directory of this machine that it sees
    assert (mount / "file").read_text() == "from here"
    assert based("exec", "c", "cat", "/data/changed") == "from here"
    subprocess.run(("mkfifo", based.work / "fifo"), check=True)
    assert based.try_("cp", "fifo", "c:/data").returncode == 2
    assert based.try_("commit", "--pause", "true", "c").returncode == 2
    based("commit", "c", "image")
    # What was mounted is not in it, nor what it was mounted on.
    assert based.shell("image", "cat /data/changed; test -e /mounted || echo , without") == "from here, without\n"
    based("kill", "c")
    based("wait", "c")
    based("cp", "c:/data/changed", "after")
    assert (based.work / "after").read_text() == "from here"


def test_what_runs_cannot_lead_a_copy_out(based: Pybuild, tmp_path: Path) -> None:
    """A container that swaps a directory for links to the host's, while files are copied to and from there."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    swap = (
        "mkdir /swap /aside; echo theirs > /swap/file; while :; do "
        f"mv /swap /aside/d; ln -s {outside} /swap; rm /swap; mv /aside/d /swap; done"
    )
    based("run", "-d", "--name", "c", "--entrypoint", "", "data", "sh", "-c", swap)
    wait_for(lambda: based.try_("exec", "c", "ls", "/aside").returncode == 0)
    based.file("file", "copied")
    for number in range(5):
        based.try_("cp", "file", "c:/swap/file")
        if based.try_("cp", "c:/swap/file", f"out{number}").returncode == 0:
            assert (based.work / f"out{number}").read_text() in ("theirs\n", "copied")
        copied = based.work / f"dir{number}"
        if based.try_("cp", "c:/swap", copied.name).returncode == 0 and not copied.is_symlink():
            found = [path.read_text() for path in copied.glob("file")]
            assert found in ([], ["theirs\n"], ["copied"])
    based("rm", "-f", "c")
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("file", "mine")]


# --- as an ordinary user -------------------------------------------------------------------------


@pytest.mark.parametrize("tier", ["", "one-id"])
def test_as_an_ordinary_user(as_user: Pybuild, tier: str) -> None:
    as_user.env["PYBUILD_TIER"] = tier
    as_user.base()
    made(as_user, "mkdir /data; echo x > /data/file; chown -R 12:34 /data; rm /etc/group", image="base")
    assert as_user("diff", "c").splitlines() == ["A /data", "A /data/file", "C /etc", "D /etc/group"]
    as_user("cp", "c:/data", "out")
    assert (as_user.work / "out/file").read_text() == "x\n"
    assert (as_user.work / "out/file").stat().st_uid == as_user.work.stat().st_uid
    as_user("cp", "out/file", "c:/data/back")
    found = members(streamed(as_user, "c:/data"))
    assert {name: (info.uid, info.gid) for name, info in found.items()} == {
        "data": (12, 34), "data/file": (12, 34), "data/back": (0, 0),
    }  # fmt: skip
    done = as_user.try_("cp", "-a", "c:/data", "owned")
    assert done.returncode == 2
    assert "only root can give files to others" in done.stderr
    as_user("commit", "c", "image")
    as_user("rm", "c")
    as_user("run", "-d", "--name", "c", "image", "sh", "-c", "echo begun > /data/file; sleep 1000")
    wait_for(lambda: "C /data/file" in as_user("diff", "c"))
    as_user("cp", "out/file", "c:/data/into")
    as_user("cp", "c:/data/into", "-")
    as_user("cp", "c:/data/file", "begun")
    assert (as_user.work / "begun").read_text() == "begun\n"
    as_user("rm", "-f", "c")
    assert as_user.shell("image", "stat -c %u:%g /data/file /data/back") == "12:34\n0:0\n"
