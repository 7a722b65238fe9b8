"""Stacks put together by overlayfs, by fuse-overlayfs and by copying: the same layers, whichever does it."""

from __future__ import annotations

import json
import os
import tarfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.program import PROGRAM, Pybuild
from tests.support.rootfs import BUSYBOX, busybox_rootfs, directory, member, tar
from tests.support.waiting import wait_for

AS_ROOT = ("overlay", "fuse-overlayfs", "copy")
APPLETS = "sh cat chmod chown cp echo find ln ls mkdir mkfifo mv printf rm rmdir touch true"
# What a fallback must tell apart. Times are set, so that nothing but the work itself makes a difference.
AT = "find /work /list /shown /x -depth -newer /stamp -exec touch -h -d @1000 {} + 2>/dev/null; touch -d @1000 /"
BEGIN = f"""
FROM base AS one
WORKDIR /top
COPY --chmod=640 file /
RUN cd /work; mkdir -p dir/sub old/inner full; for n in a b c; do echo $n > dir/$n; echo $n > full/$n; done; {AT}
RUN cd /work; echo inner > old/inner/file; ln -s a dir/link; printf a > same; printf a > back; {AT}
RUN cd /work; touch gone swap; mkdir swapped; chown 1000:50 dir/b; {AT}
"""
END = f"""
RUN rm /work/gone /work/dir/c; rm -r /work/old; {AT}
RUN cd /work; mkdir -p old/inner; echo other > old/inner/other; rm -r full; mkdir full; echo b > full/b; {AT}
RUN mv /work/dir/sub /work/moved; mv /work/dir /work/renamed; {AT}
RUN cd /work/renamed; chown 7:8 .; ln -sfn b link; echo more >> a; chmod 600 a; {AT}
RUN printf b > /work/same; printf a > /work/back; cp -p /file /work/; touch /open; rm /open; {AT}
RUN cd /work; rm swap; mkdir swap; rmdir swapped; echo file > swapped; ls -R /work > /list; {AT}
RUN true
FROM one AS two
RUN rm -r /work/renamed/* ; echo > /x; {AT}
FROM base AS last
COPY --from=two /work/file /work/same /
RUN --mount=from=one,source=/work,target=/mnt cat /mnt/file > /shown; touch -d @1000 /shown /
"""
# Where fuse-overlayfs is not like overlayfs: what is done to one name of a file it may do to another one.
MORE = f"""
RUN cd /work; echo two > name; ln name dir/hard; echo > one; ln one other; mkfifo dir/pipe; {AT}
RUN chmod u-w /work/dir/hard; chmod 4755 /work/dir/b; rm /work/other; {AT}
"""


def links() -> list[tuple[tarfile.TarInfo, bytes]]:
    return [member(f"bin/{name}", kind=tarfile.SYMTYPE, link="busybox") for name in APPLETS.split()]


def diff_ids(pybuild: Pybuild, assembler: str, buildfile: str) -> list[str]:
    """The layers of the images that a Buildfile makes in a new store."""
    other = replace(pybuild, root=pybuild.root.parent / f"store-{assembler}")
    made = [directory(name) for name in ("dev", "proc", "sys", "work", "mnt")]
    base = tar(*made, member("stamp", mtime=500), member("bin/busybox", BUSYBOX.read_bytes(), mode=0o755), *links())
    other("import", "-", "base", input=base, PYBUILD_ASSEMBLER=assembler)
    other.file("file", "content\n")
    os.utime(other.work / "file", (900, 900))
    env = {"PYBUILD_ASSEMBLER": assembler}
    ids = []
    for target in ("one", "two", "last"):
        options = ("--target", target, "-t", target, "--build-arg", "SOURCE_DATE_EPOCH=1000")
        other.build(buildfile, *options, **env).ok()
        ids += json.loads(other("inspect", target))[0]["RootFS"]["Layers"]
    return ids


def test_root_gets_the_same_layers_from_each(pybuild: Pybuild) -> None:
    found = [diff_ids(pybuild, name, BEGIN + END) for name in AS_ROOT]
    assert found[1] == found[0]
    assert found[2] == found[0]


def test_root_gets_the_same_layers_from_copies(pybuild: Pybuild) -> None:
    assert diff_ids(pybuild, "copy", BEGIN + MORE + END) == diff_ids(pybuild, "overlay", BEGIN + MORE + END)


def test_ordinary_users_get_the_same_layers_from_copies(as_user: Pybuild) -> None:
    assert diff_ids(as_user, "copy", BEGIN + MORE + END) == diff_ids(as_user, "overlay", BEGIN + MORE + END)


def test_a_layer_has_what_its_step_changed_whatever_the_times_say(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.build(
        "FROM base\n"
        "RUN mkdir /d /e; for f in /f /d/f; do printf a > $f; done; printf b > /e/f; touch -d @0 /f /d/f /e/f\n"
        "RUN printf b > /f; touch -d @0 /f; rm -r /d; mkdir /d; mv /e/f /d/f\n",
        "-t",
        "made",
    ).ok()
    other = replace(pybuild, root=pybuild.root.parent / "other")
    pybuild("save", "-o", "made.tar", "made")
    other("load", "-i", "made.tar")
    assert other.shell("made", "cat /f /d/f") == "bb"


@pytest.mark.parametrize("assembler", AS_ROOT)
def test_containers_work_on_each(pybuild: Pybuild, assembler: str) -> None:
    pybuild.base()
    env = {"PYBUILD_ASSEMBLER": assembler}
    script = "echo new > /new && rm /etc/group && cat /new && ls /etc && mknod /null c 1 3 && echo > /null"
    done = pybuild.try_("run", "--rm", "base", "sh", "-c", script, **env)
    assert done.stdout.split() == ["new", "hostname", "hosts", "passwd", "resolv.conf"], done.stderr
    assert "/null: Permission denied" in done.stderr, "no file system of a container has devices"
    assert pybuild.try_("run", "--rm", "--read-only", "base", "touch", "/x", **env).returncode == 1
    assert not mounts_below(pybuild.root)


def mounts_below(directory: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]


def on_overlay(pybuild: Pybuild) -> Pybuild:
    """The program, in a mount namespace where the store lies on an overlay."""
    script = (
        'set -e; (cd "$0"; mkdir -p l u w store; '
        'mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w,userxattr store); exec "$@"'
    )
    return replace(pybuild, prefix=("unshare", "-m", "sh", "-c", script, str(pybuild.root.parent), str(PROGRAM)))


def test_a_store_on_an_overlay_falls_back_by_itself_and_says_so(pybuild: Pybuild) -> None:
    inside = on_overlay(pybuild)
    inside("import", "-", "base", input=busybox_rootfs())
    buildfile = "FROM base\nRUN rm -r /home && mkdir /home && rm /etc/group && echo > /x\nRUN ls / /home\n"
    first = inside.build(buildfile, "-t", "made").ok()
    assert first.err.count("layers are put together by fuse-overlayfs here") == 1
    assert "overlay: " in first.err
    without = inside.build(buildfile, "--no-cache", PYBUILD_ASSEMBLER="copy").ok()
    assert "layers are put together" not in without.err
    remembered = json.loads((pybuild.root.parent / "u/assembler.json").read_bytes())
    assert remembered["found"]["name"] == "fuse-overlayfs"


def test_an_unknown_assembler_is_refused(pybuild: Pybuild) -> None:
    pybuild.base()
    done = pybuild.try_("run", "--rm", "base", "true", PYBUILD_ASSEMBLER="magic")
    assert done.returncode == 125
    assert "PYBUILD_ASSEMBLER=magic: there is no such assembler" in done.stderr


def test_fuse_overlayfs_ends_with_a_build_that_is_killed(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.file("Buildfile", "FROM base\nRUN touch /begun; sleep 300\n")
    process = pybuild.start("build", "--progress", "plain", ".", PYBUILD_ASSEMBLER="fuse-overlayfs")
    wait_for(lambda: any(b"fuse-overlayfs\0" in line for line in programs(pybuild.root)))
    process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    wait_for(lambda: not programs(pybuild.root), lambda: str(programs(pybuild.root)))
    assert not mounts_below(pybuild.root)
    pybuild.build("FROM base\nRUN true\n", PYBUILD_ASSEMBLER="fuse-overlayfs").ok()
    assert os.listdir(pybuild.root / "tmp") == []


def programs(root: Path) -> list[bytes]:
    """The command lines of processes that speak of a store."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_bytes())
    return [line for line in found if os.fsencode(root) in line]
