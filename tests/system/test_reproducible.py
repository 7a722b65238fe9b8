"""SOURCE_DATE_EPOCH: the same image whoever builds it, wherever, however and whenever."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.golden import check
from tests.support.program import Pybuild
from tests.support.user import without_ids

CASES = Path(__file__).parents[1] / "cases" / "reproducible"
EPOCH = 1_000_000_000
# Later than any test runs: what is made is older than that.
FUTURE = 4_000_000_000
# What leaks times, owners, order and the machine, if anything does. What is old stays so, unlike what is to come.
TEXT = """FROM base AS made
WORKDIR /work/deep/er
RUN mkdir -p b/c a && for n in 3 1 2; do echo $n > b/f$n; done && ln b/f1 b/hard && ln -s f2 a/link
RUN touch -d @900 a/old && touch -d @3900000000 a/far && echo more >> /etc/passwd && mkfifo a/pipe && rm b/f3
RUN stat -c '%n %Y %y' b a/old b/f1 /work /etc/passwd > /times
RUN find /work -type f ! -name hard ! -name f1 | sort | xargs tar cf /packed.tar; umask > /umask
RUN --mount=type=bind,source=dir,target=/context stat -c '%n %Y' /context/one /context/sub /context/sub/two > /seen
FROM base
RUN mv /home /moved && mkdir -p /home /srv && chmod 1777 /srv && chown 1000:50 /etc/group && rm /etc/passwd
COPY dir /copied
COPY --chown=7:8 dir/one /etc/new/
COPY --from=made / /all
ADD archive.tar /
RUN hostname > /host; cat /etc/hosts /etc/resolv.conf > /names; echo > /x; rm /x; rm -r /moved
LABEL a=b
"""


def context(program: Pybuild, age: int) -> None:
    """The files of the build, `age` seconds old."""
    for name in ("dir/one", "dir/sub/two", "dir/sub/three"):
        program.file(name, f"{name}\n")
    program.file("archive.tar", b"")
    with tarfile.open(program.work / "archive.tar", "w") as archive:
        entry = tarfile.TarInfo("unpacked/file")
        entry.mtime = 500
        archive.addfile(entry)
    for path in [*program.work.rglob("*"), program.work]:
        at = int(time.time()) - age
        os.utime(path, (at, at))
        path.chmod(0o755 if path.is_dir() else 0o644)


def built(program: Pybuild, epoch: int = EPOCH, text: str = TEXT, **env: str) -> tuple[str, dict[str, str]]:
    """The digest of the image, and the digest of each form it is written in."""
    forms = ("oci", "docker", "tar")
    outputs = [word for kind in forms for word in ("-o", f"type={kind},dest={kind}.out")]
    program.build(text, "--source-date-epoch", str(epoch), "--dns", "192.0.2.1", "-t", "app", *outputs, **env).ok()
    files = {kind: hashlib.sha256((program.work / f"{kind}.out").read_bytes()).hexdigest() for kind in forms}
    return json.loads(program("inspect", "app"))[0]["Digest"], files


def share_base(first: Pybuild, *others: Pybuild, **env: str) -> None:
    """The base image in each store: the same one, as pulled."""
    first.base()
    archive = subprocess.run(first.command("save", "base"), capture_output=True, check=True).stdout
    for program in others:
        program("load", input=archive, **env)


def another(program: Pybuild, name: str) -> Pybuild:
    """The same user's program with a store and a work directory of other names."""
    work = program.work.parent / f"{name}-work"
    work.mkdir()
    owner = program.work.stat()
    os.chown(work, owner.st_uid, owner.st_gid)
    return replace(program, root=program.work.parent / f"{name}-store", work=work)


def test_two_directories_two_times_give_one_image(pybuild: Pybuild) -> None:
    other = another(pybuild, "a-much-longer-name")
    share_base(pybuild, other)
    found = []
    for program, age, umask in ((pybuild, 5, "022"), (other, 100_000, "077")):
        context(program, age)
        shell = ("sh", "-c", f'umask {umask}; exec "$@"', "sh", *program.prefix)
        found.append(built(replace(program, prefix=shell), FUTURE, TZ="Asia/Tokyo" if age > 5 else "UTC"))
        time.sleep(1.1)
    assert found[0] == found[1]


@pytest.mark.parametrize("assembler", ["fuse-overlayfs", "copy"])
def test_assemblers_give_one_image(pybuild: Pybuild, assembler: str) -> None:
    other, forced = another(pybuild, assembler), {"PYBUILD_ASSEMBLER": assembler}
    share_base(pybuild, other, **forced)
    # fuse-overlayfs shows two names of a file as two files.
    text = TEXT.replace("&& ln b/f1 b/hard", "") if assembler == "fuse-overlayfs" else TEXT
    found = []
    for program, env in ((pybuild, {}), (other, forced)):
        context(program, 5)
        found.append(built(program, EPOCH, text, **env))
    assert found[0] == found[1]


@pytest.mark.parametrize("tier", ["subordinate", "one"])
def test_root_and_an_ordinary_user_give_one_image(pybuild: Pybuild, as_user: Pybuild, tier: str) -> None:
    user = as_user if tier == "subordinate" else without_ids(as_user)
    share_base(pybuild, user)
    found = []
    for program in (pybuild, user):
        context(program, 5)
        found.append(built(program))
    assert found[0] == found[1]


def test_what_is_new_has_the_time_and_steps_see_it(pybuild: Pybuild) -> None:
    context(pybuild, 5)
    pybuild.base()
    built(pybuild)
    with tarfile.open(pybuild.work / "tar.out") as tar:
        times = {m.name: m.mtime for m in tar}
        seen = tar.extractfile("all/times").read().decode()  # type: ignore[union-attr]
        bound = tar.extractfile("all/seen").read().decode()  # type: ignore[union-attr]
    assert times.pop("bin/busybox") == 0
    assert times["all/work/deep/er/a/old"] == EPOCH  # copied: as new as the copy
    assert {times[n] for n in ("copied", "copied/one", "srv", "unpacked/file", "etc", "host")} == {EPOCH}
    assert {line.split()[1] for line in seen.splitlines() if " a/old" not in f" {line}"} == {str(EPOCH)}
    assert "a/old 900 " in seen
    assert ".000000000" in seen.splitlines()[0]
    assert {line.split()[1] for line in bound.splitlines()} == {str(EPOCH)}


def test_an_epoch_runs_nothing_again_and_changes_every_time(pybuild: Pybuild) -> None:
    """Cached under another epoch, and cold under it: one image."""
    text = "FROM base\nRUN echo x > /x\nCOPY dir /d\nRUN cat /d/one > /y; touch -d @900 /old\n"
    context(pybuild, 5)
    cold = another(pybuild, "cold")
    share_base(pybuild, cold)
    pybuild.build(text, "-t", "real").ok()
    real = pybuild.shell("real", "stat -c %Y /x /y")
    context(cold, 77)
    for epoch in (EPOCH, FUTURE, EPOCH + 1):
        warm = pybuild.build(text, "-t", "app", "--source-date-epoch", str(epoch)).ok()
        assert warm.ran == []
        again = cold.build(text, "-t", "app", "--no-cache", "--source-date-epoch", str(epoch)).ok()
        assert len(again.ran) == 3
        assert json.loads(pybuild("inspect", "app")) == json.loads(cold("inspect", "app"))
        assert pybuild.shell("app", "stat -c %Y /x /d/one /y /old").split() == [str(epoch)] * 3 + ["900"]
    pybuild.build(text, "-t", "real").ok()
    assert pybuild.shell("real", "stat -c %Y /x /y") == real


def test_what_was_written_for_an_epoch_comes_back_when_it_is_lost(pybuild: Pybuild) -> None:
    text = "FROM base\nRUN echo > /x\n"
    pybuild.base()
    image, _ = built(pybuild, text=text)
    blobs = len(list((pybuild.root / "blobs/sha256").iterdir()))
    pybuild("rmi", "app")
    assert len(list((pybuild.root / "blobs/sha256").iterdir())) < blobs
    assert built(pybuild, text=text)[0] == image


def test_the_epoch_comes_from_where_it_is_expected(pybuild: Pybuild) -> None:
    text = "FROM scratch\nCOPY Buildfile /\n"

    def created(*arguments: str, **env: str) -> str:
        pybuild.build(text, "-t", "app", *arguments, **env).ok()
        return str(json.loads(pybuild("inspect", "app"))[0]["Created"])

    def year(text: str) -> str:
        return text[:4]

    assert year(created(SOURCE_DATE_EPOCH="86400")) == "1970"
    assert year(created("--build-arg", "SOURCE_DATE_EPOCH=1000000000", SOURCE_DATE_EPOCH="0")) == "2001"
    assert year(created("--source-date-epoch", "0", "--build-arg", "SOURCE_DATE_EPOCH=1000000000")) == "1970"
    assert int(year(created("--build-arg", "SOURCE_DATE_EPOCH=", SOURCE_DATE_EPOCH="0"))) > 2020
    assert pybuild.build(text, "--source-date-epoch", "soon").status == 2


def test_the_epoch_of_a_context(pybuild: Pybuild) -> None:
    def created() -> int:
        pybuild.build("FROM scratch\nCOPY a /\n", "-t", "app", "--source-date-epoch", "context").ok()
        text = json.loads(pybuild("inspect", "app"))[0]["Created"]
        return int(time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))) - time.timezone

    pybuild.file(".dockerignore", "ignored\nBuildfile\n.*\n")
    for name, at in (("a", 5000), ("b", 6000), ("ignored", 7000)):
        os.utime(pybuild.file(name, name), (at, at))
    assert created() == 6000
    git = ["git", "-C", str(pybuild.work), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    done = pybuild.build("FROM scratch\nCOPY a /\n", "--source-date-epoch", "context")
    assert done.status == 2
    assert "git says" in done.err
    subprocess.run([*git, "add", "a"], check=True)
    env = {**os.environ, "GIT_COMMITTER_DATE": "@8000 +0000", "GIT_AUTHOR_DATE": "@1 +0000"}
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True, env=env)
    assert created() == 8000


def test_the_same_tar_is_the_same_image(pybuild: Pybuild) -> None:
    from tests.support.rootfs import directory, tar

    rootfs, other = tar(directory("a")), another(pybuild, "other")
    one = pybuild("import", "--source-date-epoch", "86400", "-", "base", input=rootfs)
    assert other("import", "-", "base", input=rootfs, SOURCE_DATE_EPOCH="86400") == one
    assert json.loads(pybuild("inspect", "base"))[0]["Created"][:10] == "1970-01-02"
    assert pybuild.try_("import", "--source-date-epoch", "soon", "-", "base", input=rootfs).returncode == 2


def test_a_context_without_files_has_no_time(pybuild: Pybuild, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    file = pybuild.file("Buildfile", "FROM scratch\nLABEL a=b\n")
    done = pybuild.try_("build", "--source-date-epoch", "context", "-f", str(file), str(tmp_path / "empty"))
    assert done.returncode == 2
    assert "has no files" in done.stderr


# --- verify-reproducible -------------------------------------------------------------------------

# One way of not being reproducible a line.
PLANTED = """FROM base AS made
RUN mkdir /out && echo fixed > /out/fixed
RUN date > /out/stamp; echo same > /out/zz
RUN cat /proc/sys/kernel/random/uuid > /out/id
FROM base
COPY --from=made /out/fixed /fixed
COPY --from=made /out /all
RUN touch /tmp/$(cat /proc/sys/kernel/random/uuid)
RUN touch -d @$(( $(date +%s) - 100000 )) /old
RUN seq 1 40 | shuf > /list
RUN head -c 64 /dev/urandom > /data
RUN ln -s $(cat /proc/sys/kernel/random/uuid) /link
RUN chown $(($(date +%s) % 1000)):5 /tmp
"""


def test_what_is_not_reproducible_is_named(pybuild: Pybuild, accept: bool) -> None:
    pybuild.base()
    pybuild.file("Buildfile", PLANTED)
    before = pybuild("images", "--format", "json")
    done = pybuild.try_("verify-reproducible", "-t", "tagged", "--source-date-epoch", str(FUTURE), "-q", ".")
    assert done.returncode == 1, done.stderr
    check(CASES / "planted.txt", without_chance(done.stdout), accept)
    assert "tagged" not in before + pybuild("images", "--format", "json")


def without_chance(text: str) -> str:
    """A report without what is another one each time."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
    text = re.sub(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} UTC \d{4}", "DATE", text)
    text = re.sub(r"byte 0 on: [0-9a-f |]+", "byte 0 on: BYTES", text)
    text = re.sub(r"(?m)^    [-+]\d+$", "    LINE", text)
    return re.sub(r"time \d{9,}", "time TIME", re.sub(r"owner \d+:5", "owner ID:5", text))


def test_what_is_reproducible_is_said_to_be(pybuild: Pybuild) -> None:
    context(pybuild, 5)
    pybuild.base()
    pybuild.file("Buildfile", TEXT)
    arguments = ("--progress", "quiet", "--dns", "192.0.2.1", "--json", ".")
    found = json.loads(pybuild("verify-reproducible", "--source-date-epoch", str(EPOCH), *arguments))
    assert found["reproducible"]
    assert found["epoch"] == EPOCH
    assert found["images"] == [built(pybuild)[0]] * 2
    pybuild.file("Buildfile", "FROM scratch\nCOPY dir /\n")
    now = json.loads(pybuild("verify-reproducible", *arguments))
    assert now["reproducible"]
    assert abs(now["epoch"] - time.time()) < 600


def test_an_ordinary_user_verifies_and_nothing_is_left(as_user: Pybuild, tmp_path: Path) -> None:
    as_user.base()
    as_user.file("Buildfile", "FROM base\nRUN mkdir -m 700 /d && echo > /d/f && chown -R 33:33 /d && date +%s > /n\n")
    second = as_user.work / "second"
    second.mkdir()
    os.chown(second, as_user.work.stat().st_uid, as_user.work.stat().st_gid)
    done = as_user.try_("verify-reproducible", "-q", "--second-root", str(second), "--json", ".")
    assert done.returncode == 1, done.stderr
    (step,) = json.loads(done.stdout)["unlike"]
    assert (step["place"], step["entry"]["path"], step["entry"]["what"]) == ("Buildfile:2", "/n", ["content"])
    assert not any(second.iterdir())


def test_what_a_killed_one_left_is_removed_by_the_next(pybuild: Pybuild, tmp_path: Path) -> None:
    pybuild.base()
    arguments = ("verify-reproducible", "-q", "--second-root", str(tmp_path / "second"), ".")
    (tmp_path / "second").mkdir()
    pybuild.file("Buildfile", "FROM base\nRUN --mount=type=cache,target=/c test -e /c/x || sleep 60\n")
    pybuild.build("FROM base\nRUN --mount=type=cache,target=/c touch /c/x\n").ok()
    pybuild.file("Buildfile", "FROM base\nRUN --mount=type=cache,target=/c test -e /c/x || sleep 60\n")
    running = pybuild.start(*arguments)
    while not list((tmp_path / "second").glob("*/store/logs/*.json*")):
        time.sleep(0.05)
    running.kill()
    running.communicate()
    assert len(list((tmp_path / "second").iterdir())) == 1
    pybuild.file("Buildfile", "FROM base\nRUN true\n")
    pybuild(*arguments)
    assert not any((tmp_path / "second").iterdir())


def test_what_cannot_be_verified_is_told(pybuild: Pybuild) -> None:
    pybuild.file("Buildfile", "FROM scratch\nCOPY missing /\n")
    for arguments, status, words in (
        (("-",), 2, "standard input cannot be read twice"),
        (("--check", "."), 2, "--check"),
        (("--bogus", "."), 2, "No such option"),
        ((".",), 4, "missing is not in the build context"),
        (("--second-root", "/nowhere", "."), 4, "missing is not"),
    ):
        done = pybuild.try_("verify-reproducible", *arguments)
        assert (done.returncode, words in done.stderr) == (status, True), done.stderr
    pybuild.file("Buildfile", "FROM scratch\nCOPY Buildfile /\n")
    done = pybuild.try_("verify-reproducible", "--second-root", "/nowhere", ".")
    assert done.returncode == 2
    assert "--second-root /nowhere" in done.stderr
