"""COPY, ADD and WORKDIR, rule by rule, in real builds."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.program import Pybuild


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    for name in (
        "a",
        "b.txt",
        "c.md",
        "dir/one",
        "dir/two.txt",
        "dir/sub/three",
        "dir/sub/deep/four.txt",
        "x/y/z/file",
    ):
        pybuild.file(name, f"{name}\n")
    return pybuild


def built(pybuild: Pybuild, lines: str, *arguments: str) -> dict[str, tarfile.TarInfo]:
    """What `lines` on scratch make, by path."""
    pybuild.build(f"FROM scratch\n{lines}\n", "-o", "type=tar,dest=out.tar", *arguments).ok()
    with tarfile.open(pybuild.work / "out.tar") as tar:
        return {member.name: member for member in tar}


def paths(pybuild: Pybuild, lines: str) -> list[str]:
    return sorted(built(pybuild, lines))


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("COPY a /f", "f"),
        ("COPY a /d/", "d d/a"),
        ("COPY a b.txt /d/", "d d/a d/b.txt"),
        ("WORKDIR /w\nCOPY a .", "w w/a"),
        ("WORKDIR /w\nCOPY a r/s", "w w/r w/r/s"),
        ("ENV e=\nWORKDIR /w\nCOPY a $e", "w w/a"),
        ("COPY a /d/.", "d d/a"),
        ("COPY /a ../../b.txt ./dir/../c.md /d/", "d d/a d/b.txt d/c.md"),
        ("COPY a/ /d/", "d d/a"),
        ("COPY dir/sub /d", "d d/deep d/deep/four.txt d/three"),
        ("COPY dir/sub/ a /d/", "d d/a d/deep d/deep/four.txt d/three"),
        ("COPY dir/s?b/d* /d", "d d/four.txt"),
        ("COPY [a-b]* /d/", "d d/a d/b.txt"),
        ("COPY a none* /d/", "d d/a"),
        ('COPY ["a", "/with space/"]', "with space with space/a"),
        ("COPY --exclude=*.txt dir /d", "d d/one d/sub d/sub/deep d/sub/deep/four.txt d/sub/three"),
        ("COPY --exclude=**/*.txt --exclude=sub/deep dir /d", "d d/one d/sub d/sub/three"),
        ("COPY --exclude=sub dir /d", "d d/one d/two.txt"),
        ("COPY --exclude=*.md *.txt *.md /d/", "d d/b.txt"),
        ("COPY --exclude=!one dir/one dir/two.txt /d/", "d d/one d/two.txt"),
        ("COPY --parents x/y/z/file /", "x x/y x/y/z x/y/z/file"),
        ("COPY --parents x/./y/z/file dir/./sub/t* /d/", "d d/sub d/sub/three d/y d/y/z d/y/z/file"),
        ("COPY --parents ./dir/**/*.txt /", "dir dir/sub dir/sub/deep dir/sub/deep/four.txt dir/two.txt"),
        ("COPY --parents d*/./s*/three /", "sub sub/three"),
        ("COPY --parents --exclude=**/deep dir/sub /", "dir dir/sub dir/sub/three"),
        ("COPY --link a /d/e/f", "d d/e d/e/f"),
        ("ADD --exclude=sub dir /d/", "d d/one d/two.txt"),
    ],
)
def test_where_files_go(based: Pybuild, lines: str, wanted: str) -> None:
    names = wanted.split(" ") if "space" not in wanted else ["with space", "with space/a"]
    assert paths(based, lines) == sorted(names)


def test_a_pattern_that_matches_nothing_copies_nothing(based: Pybuild) -> None:
    assert paths(based, "COPY none* /d/") == []


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("COPY none /d/", "none is not in the build context"),
        ("COPY --parents x/none /d/", "x/none is not in the build context"),
        ("COPY dir /d/\nCOPY a /d/sub", None),
        ("COPY a /f\nCOPY dir /f", "cannot be a directory"),
        ("COPY dir/sub/three /d/deep\nCOPY dir/sub /d/", "over what is no directory"),
        ("COPY dir/sub /d/one\nCOPY dir /d/", "cannot replace the directory one"),
        ("COPY --chmod=9 a /f", "is no mode"),
        ("COPY --chmod=10000 a /f", "is no mode"),
        ("COPY --chown=nobody a /f", "unable to find user nobody"),
    ],
)
def test_what_is_refused(based: Pybuild, lines: str, message: str | None) -> None:
    done = based.build(f"FROM scratch\n{lines}\n")
    if message is None:
        done.ok()
        return
    assert done.status != 0
    assert message in done.err
    assert f"Buildfile:{1 + len(lines.splitlines())}" in done.err


def test_modes_owners_and_times(based: Pybuild) -> None:
    (based.work / "a").chmod(0o640)
    (based.work / "dir").chmod(0o700)
    (based.work / "dir" / "sub").chmod(0o711)
    for name in ("a", "dir", "dir/sub"):
        os.utime(based.work / name, (1_000_000_000, 1_000_000_000))
    files = built(
        based,
        """COPY a /a
COPY dir /d
COPY --chmod=u=rwX,go=rX dir /symbolic
COPY --chmod=+x a /executable
COPY --chmod=4751 a /octal
COPY --chown=55 a /owned/x/f
COPY --chown=1:2 dir /owned-dir
COPY --chmod=600 <<EOF /heredoc
text
EOF
""",
    )
    modes = {name: oct(member.mode)[2:] for name, member in files.items()}
    assert (modes["a"], modes["executable"], modes["octal"], modes["heredoc"]) == ("640", "751", "4751", "600")
    # The destination is a parent like any; what lies in the source is as it was.
    assert (modes["d"], modes["d/sub"], modes["symbolic/sub"], modes["symbolic/one"]) == ("755", "711", "755", "644")
    assert {files[n].mtime for n in ("a", "d/sub", "owned/x/f")} == {1_000_000_000}
    assert files["d"].mtime > 1_000_000_000
    owners = {(files[n].uid, files[n].gid) for n in ("owned", "owned/x", "owned/x/f")}
    assert owners == {(55, 55)}
    assert {(m.uid, m.gid) for n, m in files.items() if n.startswith("owned-dir")} == {(1, 2)}
    assert {(m.uid, m.gid) for n, m in files.items() if not n.startswith("owned")} == {(0, 0)}


def test_existing_directories_keep_what_is_theirs(based: Pybuild) -> None:
    files = built(
        based,
        """COPY --chown=5:6 --chmod=700 dir /d
COPY dir /d
COPY --parents x/y /d
""",
    )
    assert (files["d"].uid, oct(files["d"].mode)) == (5, "0o755")
    assert (files["d/sub"].uid, oct(files["d/sub"].mode)) == (0, "0o755")  # it is in the source: overwritten


def test_links(based: Pybuild) -> None:
    work = based.work
    (work / "dir" / "link").symlink_to("one")
    (work / "to-dir").symlink_to("dir/sub")
    (work / "out").symlink_to("/dir/../../../a")
    (work / "dir" / "escape").symlink_to("/etc/hostname")
    os.link(work / "dir" / "one", work / "dir" / "twin")
    os.link(work / "dir" / "one", work / "dir" / "sub" / "twin")
    files = built(based, "COPY dir /d\nCOPY to-dir /followed\nCOPY out /root/\nCOPY dir/link /as/\nCOPY dir/twin /t")
    assert (files["d/link"].type, files["d/link"].linkname) == (tarfile.SYMTYPE, "one")
    assert files["d/escape"].linkname == "/etc/hostname"
    assert "followed/three" in files
    assert files["root/out"].isreg()
    assert files["as/link"].isreg()
    assert [files[n].type for n in ("d/one", "d/sub/twin", "d/twin")] == [b"0", b"1", b"1"]
    assert files["t"].isreg()
    one = based.build("FROM scratch\nCOPY dir /d\n").ok()
    assert one.cached == ["COPY dir /d"]
    (work / "dir" / "twin").unlink()
    (work / "dir" / "twin").write_text("dir/one\n")
    assert based.build("FROM scratch\nCOPY dir /d\n").ok().ran == ["COPY dir /d"]


def test_the_destination_follows_links_inside_the_image(based: Pybuild) -> None:
    based.build(
        """FROM base
RUN mkdir -p /real/deep && ln -s real /alias && ln -s /etc/../../real/deep /abs
RUN ln -s ../../../tmp /up && ln -s nowhere /new
COPY a /alias/f
COPY a /abs/
COPY a /up/
COPY dir/sub /new
""",
        "-t",
        "app",
    ).ok()
    assert based.shell("app", "ls /real /real/deep /tmp /nowhere").split() == [
        "/nowhere:", "deep", "three", "/real:", "deep", "f", "/real/deep:", "a", "/tmp:", "a",
    ]  # fmt: skip


def test_a_link_copy_does_not_look_below(based: Pybuild) -> None:
    text = "FROM base\nRUN mkdir /real && ln -s real /alias && chmod 700 /home{}\n"
    text += "COPY --link a /alias/f\nCOPY --link a /home/a\n"
    based.build(text.format(""), "-t", "app").ok()
    assert based.shell("app", "ls -ld /alias /home | cut -c1-10; cat /alias/f").split() == [
        "drwxr-xr-x",
        "drwxr-xr-x",
        "a",
    ]
    again = based.build(text.format(" /tmp")).ok()
    assert again.ran == ["RUN mkdir /real && ln -s real /alias && chmod 700 /home /tmp"]


def test_files_of_stages_keep_what_they_are(based: Pybuild) -> None:
    based.build(
        """FROM base AS made
RUN mkdir -p /d/sub && echo 1 > /d/f && ln /d/f /d/sub/hard && ln -s f /d/soft && chown -R 7:8 /d && chmod 2750 /d/sub
RUN mkfifo /d/fifo && mknod /d/null c 1 3
FROM scratch
COPY --from=made /d /copied
COPY --from=made /d/soft /followed
COPY --from=made --parents /d/./s*/hard /
COPY --from=made --exclude=sub --chown=0 d /less
""",
        "-o",
        "type=tar,dest=out.tar",
    ).ok()
    with tarfile.open(based.work / "out.tar") as tar:
        files = {member.name: member for member in tar}
    assert (files["copied"].uid, files["copied/f"].uid, files["copied/f"].gid) == (0, 7, 8)
    assert oct(files["copied/sub"].mode) == "0o2750"
    assert files["copied/sub/hard"].type == tarfile.LNKTYPE
    assert files["followed"].isreg()
    assert (files["copied/null"].type, files["copied/fifo"].type) == (tarfile.CHRTYPE, tarfile.FIFOTYPE)
    assert (files["sub"].uid, files["sub/hard"].uid) == (7, 7)
    assert sorted(n for n in files if n.startswith("less")) == ["less", "less/f", "less/fifo", "less/null", "less/soft"]
    assert files["less/f"].uid == 0


def test_the_same_copy_twice_and_a_workdir_that_is_there_make_layers(based: Pybuild) -> None:
    based.build("FROM base\nCOPY a /f\nCOPY a /f\nWORKDIR /tmp\nWORKDIR /\nRUN true\n", "-t", "app").ok()
    import json

    rows = json.loads(based("history", "--format", "json", "app"))
    layers = json.loads(based("inspect", "app"))[0]["RootFS"]["Layers"]
    assert len(layers) == 5
    assert len(rows) == 6


def test_workdirs_belong_to_the_user(based: Pybuild) -> None:
    based.build("FROM base\nUSER alice\nWORKDIR /w/x\nWORKDIR y/../z/\nRUN pwd > here\n", "-t", "app").ok()
    assert based.shell("app", "stat -c %u:%g /w /w/x /w/x/z; cat /w/x/z/here").split() == ["1000:1000"] * 3 + ["/w/x/z"]


@pytest.mark.parametrize("way", ["argument", "file"])
def test_source_date_epoch_is_the_time_of_everything(based: Pybuild, way: str) -> None:
    import json

    text = "FROM base\nWORKDIR /w\nCOPY dir /w/d\nADD <<EOF /w/e\nx\nEOF\nENV A=1\n"
    if way == "file":
        based.build(f"ARG SOURCE_DATE_EPOCH=1000000000\n{text}", "-t", "app").ok()
    else:
        based.build(text, "--build-arg", "SOURCE_DATE_EPOCH=1000000000", "-t", "app").ok()
    times = based.shell("app", "stat -c %Y /w/d/one /w/d/sub /w/d/sub/three /w/e").split()
    assert set(times) == {"1000000000"}
    created = {row["created"] for row in json.loads(based("history", "--format", "json", "app"))[:4]}
    assert created == {"2001-09-09T01:46:40.000000000Z"}
    assert json.loads(based("inspect", "app"))[0]["Created"] == "2001-09-09T01:46:40.000000000Z"
    assert based.build(text, "--build-arg", "SOURCE_DATE_EPOCH=soon").status == 2


def test_archives_are_known_by_their_content(based: Pybuild, tmp_path: Path) -> None:
    work = based.work
    tree = tmp_path / "tree"
    (tree / "in").mkdir(parents=True)
    (tree / "in" / "file").write_text("packed")
    for name, program in (("t", ""), ("t.gz", "gzip"), ("t.bz2", "bzip2"), ("t.xz", "xz"), ("t.zst", "zstd")):
        command = ["tar", "cf", work / name, "--owner=3", "--group=4", "-C", tree, "in"]
        subprocess.run(command + ([f"--use-compress-program={program}"] if program else []), check=True)
    (work / "t.png").write_bytes((work / "t.gz").read_bytes())
    subprocess.run(["gzip", "-k", work / "a"], check=True)
    files = built(
        based,
        """ADD t /plain
ADD t.gz t.bz2 t.xz t.zst /several/
ADD t.png /named/
ADD a.gz /kept/
ADD --unpack=false t.gz /packed/
ADD --chown=9:9 --chmod=700 t /owned/
COPY t /copied
""",
    )
    assert files["plain/in/file"].uid == 3
    assert {"several/in/file", "named/in/file", "kept/a.gz", "packed/t.gz", "copied"} <= set(files)
    assert (files["owned/in/file"].uid, files["owned"].uid, oct(files["owned/in/file"].mode)) == (9, 9, "0o644")
    assert files["copied"].isreg()
