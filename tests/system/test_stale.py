"""No stale layer, ever: each change of a context, made between builds and during one, and whether it is seen.

What a build gives is compared with the tree it was given, so a cached layer that is not the tree's is found out.
"""

from __future__ import annotations

import hashlib
import io
import os
import select
import socket
import sqlite3
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from builder.linux.files import remove_tree
from tests.support.program import Built, Pybuild
from tests.support.rootfs import member, tar
from tests.support.user import ordinary

TEXT = "FROM scratch\nCOPY tree /t\n"
BOUND = "FROM base\nRUN --mount=type=bind,source=tree,target=/t /look /t > /seen\n"
CAPABLE = bytes.fromhex("0100000200040000000000000000000000000000")
# What a RUN sees of a tree, by busybox alone: times and owners of files are not looked at.
LOOK = """#!/bin/sh
cd "$1" && busybox stat -c '%n %F %a' . && busybox find . -mindepth 1 | LC_ALL=C busybox sort | while read -r p; do
  busybox stat -c '%n %F %a' "$p"; [ -L "$p" ] && busybox readlink "$p"; [ -f "$p" ] && [ ! -L "$p" ] && cat "$p"
done; true
"""

Change = Callable[[Path], object]
Facts = dict[str, tuple[object, ...]]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pybuild]:
    """pybuild of `root` and of an ordinary `user`, each on one store for all rows."""

    @cache
    def made(who: str) -> Pybuild:
        directory = tmp_path_factory.mktemp(who)
        program = ordinary(directory / "user") if who == "user" else Pybuild(directory / "store", directory / "work")
        program.work.mkdir(exist_ok=True)
        program.base()
        program.file("look", LOOK, 0o755)
        program.build("FROM base\nCOPY look /look\n", "-t", "base").ok()
        return program

    return made


@contextmanager
def row(program: Pybuild) -> Iterator[Pybuild]:
    """The program in a new directory of its own, with a fresh tree."""
    work = Path(tempfile.mkdtemp(dir=program.work))
    work.chmod(0o755)
    owner = program.work.stat()
    os.chown(work, owner.st_uid, owner.st_gid)
    grow(work)
    try:
        yield replace(program, work=work)
    finally:
        remove_tree(str(work))


def grow(work: Path) -> Path:
    """A tree with a bit of everything."""
    tree = work / "tree"
    (tree / "dir" / "sub").mkdir(parents=True)
    for name, content in (("file", "content"), ("dir/one", "1"), ("dir/sub/two", "2"), ("run", "#!/bin/sh")):
        (tree / name).write_text(content)
        (tree / name).chmod(0o755 if name == "run" else 0o644)
    for path in (tree, tree / "dir", tree / "dir" / "sub"):
        path.chmod(0o755)
    (tree / "link").symlink_to("file")
    os.link(tree / "dir" / "one", tree / "twin")
    os.mkfifo(tree / "fifo", 0o644)
    os.setxattr(tree / "file", "user.colour", b"red")
    (work / ".dockerignore").write_text("**/*.log\n")
    give(work)
    settle()
    return tree


def give(work: Path) -> None:
    """Everything below `work` belongs to who owns it."""
    uid, gid = work.stat().st_uid, work.stat().st_gid
    for directory, directories, files in os.walk(work):
        for name in (*directories, *files):
            path = os.path.join(directory, name)
            if os.lstat(path).st_uid != uid:
                os.chown(path, uid, gid, follow_symlinks=False)


def settle() -> None:
    """Wait until the files are older than the clock's grain: what follows is not seen for being young."""
    time.sleep(0.03)


def facts(path: Path) -> Facts:
    """What counts of a tree, by path."""
    found: Facts = {}
    names: dict[int, list[str]] = {}
    for directory, directories, files in sorted(os.walk(path)):
        for name in sorted((*directories, *files)):
            full = os.path.join(directory, name)
            inside, status = os.path.relpath(full, path), os.lstat(full)
            if stat.S_ISSOCK(status.st_mode) or name.endswith(".log"):
                continue
            what: object = ""
            if stat.S_ISREG(status.st_mode):
                what = Path(full).read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                what = os.readlink(full)
            found[inside] = (stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), what, _xattrs(full))
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                names.setdefault(status.st_ino, []).append(inside)
    return _twinned(found, names.values())


def _twinned(found: Facts, names: Iterable[list[str]]) -> Facts:
    """With all the names of each file that has several."""
    twins = {name: tuple(sorted(group)) for group in names if len(group) > 1 for name in group}
    return {name: (*what, twins.get(name, ())) for name, what in found.items()}


def _xattrs(path: str) -> tuple[tuple[str, bytes], ...]:
    names = [n for n in sorted(os.listxattr(path, follow_symlinks=False)) if n.startswith(("user.", "security.cap"))]
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)


_KINDS = {tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK, tarfile.FIFOTYPE: stat.S_IFIFO}


def layer(data: bytes) -> Facts:
    """The same of what was built, below /t."""
    found: Facts = {}
    names: dict[str, list[str]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            name = member.name.removeprefix("t/")
            if member.name == "t":
                continue
            assert (member.uid, member.gid) == (0, 0)
            if member.islnk():
                first = member.linkname.removeprefix("t/")
                found[name] = found[first]
                names.setdefault(first, [first]).append(name)
                continue
            xattrs = tuple(
                (key.removeprefix("SCHILY.xattr."), value.encode(errors="surrogateescape"))
                for key, value in sorted(member.pax_headers.items())
                if key.startswith("SCHILY.xattr.")
            )
            file = tar.extractfile(member) if member.isreg() else None
            content: object = member.linkname if file is None else file.read()
            found[name] = (_KINDS.get(member.type, stat.S_IFREG), member.mode, content, xattrs)
    return _twinned(found, names.values())


def build(program: Pybuild, *arguments: str, text: str = TEXT) -> Built:
    give(program.work)
    return program.build(text, "-o", "type=tar,dest=out.tar", *arguments)


def right(program: Pybuild, *arguments: str) -> Built:
    """Build, and compare what comes out with what is there."""
    built = build(program, *arguments).ok()
    got, wanted = layer((program.work / "out.tar").read_bytes()), facts(program.work / "tree")
    assert got == wanted
    return built


# --- between builds --------------------------------------------------------------------------------


def _same_times(path: Path, content: str) -> None:
    """In place, with the size and the time of before."""
    before = path.stat()
    path.write_text(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _swapped(path: Path, content: str) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_text(content)
    other.chmod(stat.S_IMODE(before.st_mode))
    os.setxattr(other, "user.colour", b"red")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)


def _anew(path: Path, content: str) -> None:
    """Removed and made again: the inode is used again, where the file system does that."""
    before = path.stat()
    path.unlink()
    path.write_text(content)
    path.chmod(stat.S_IMODE(before.st_mode))
    os.setxattr(path, "user.colour", b"red")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _mapped(path: Path) -> None:
    import mmap

    before = path.stat()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:3] = b"CON"
        memory.flush()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _become(path: Path, make: Change) -> None:
    path.unlink()
    make(path)


def _order(tree: Path) -> None:
    """The same files made in another order, with another inode and time each."""
    kept = {path: (path.read_bytes(), path.stat().st_mode) for path in (tree / "file", tree / "run")}
    for path in kept:
        path.unlink()
    for path, (content, mode) in reversed(kept.items()):
        path.write_bytes(content)
        path.chmod(stat.S_IMODE(mode))
    os.setxattr(tree / "file", "user.colour", b"red")


def _listen(tree: Path) -> None:
    before = os.getcwd()
    os.chdir(tree)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(before)


SEEN: dict[str, Change] = {
    "content": lambda tree: (tree / "file").write_text("other"),
    "same size and time": lambda tree: _same_times(tree / "file", "CONTENT"),
    "same, swapped by rename": lambda tree: _swapped(tree / "file", "Content"),
    "same, made anew": lambda tree: _anew(tree / "file", "cONTENT"),
    "same, through memory": lambda tree: _mapped(tree / "file"),
    "mode": lambda tree: (tree / "file").chmod(0o600),
    "set-ID": lambda tree: (tree / "run").chmod(0o4755),
    "mode of a directory": lambda tree: (tree / "dir" / "sub").chmod(0o700),
    "attribute": lambda tree: os.setxattr(tree / "file", "user.colour", b"blu"),
    "capabilities": lambda tree: os.setxattr(tree / "run", "security.capability", CAPABLE),
    "attribute gone": lambda tree: os.removexattr(tree / "file", "user.colour"),
    "attribute of a directory": lambda tree: os.setxattr(tree / "dir", "user.colour", b"red"),
    "target of a link": lambda tree: _become(tree / "link", lambda path: path.symlink_to("runn")),
    "hard link cut": lambda tree: _become(tree / "twin", lambda path: path.write_text("1")),
    "hard link made": lambda tree: os.link(tree / "file", tree / "dir" / "file"),
    "link in place of a file": lambda tree: _become(tree / "run", lambda path: path.symlink_to("file")),
    "directory in place of a file": lambda tree: _become(tree / "run", lambda path: path.mkdir()),
    "file in place of a FIFO": lambda tree: _become(tree / "fifo", lambda path: path.write_text("")),
    "added": lambda tree: (tree / "dir" / "new").write_text(""),
    "empty directory added": lambda tree: (tree / "new").mkdir(),
    "removed": lambda tree: (tree / "dir" / "sub" / "two").unlink(),
    "renamed": lambda tree: (tree / "file").rename(tree / "File"),
}
UNSEEN: dict[str, Change] = {
    "time": lambda tree: [os.utime(path, (1, 1)) for path in (tree / "file", tree / "dir", tree)],
    "written with the same": lambda tree: (tree / "file").write_text("content"),
    "order and inodes": _order,
    "mode there and back": lambda tree: [(tree / "file").chmod(mode) for mode in (0o600, 0o644)],
    "mode of what is named": lambda tree: tree.chmod(0o700),
    "ignored": lambda tree: (tree / "dir" / "x.log").write_text("hidden"),
    "elsewhere": lambda tree: (tree.parent / "beside").write_text(""),
    "socket": _listen,
}
ROOT_UNSEEN: dict[str, Change] = {
    "owner": lambda tree: os.chown(tree / "run", 7, 7),
    "attribute that root sees": lambda tree: os.setxattr(tree / "file", "trusted.colour", b"red"),
}
# An ordinary user's builds differ in who reads and who copies: these are the rows where that counts.
FOR_USERS = (
    "same size and time",
    "same, swapped by rename",
    "mode of a directory",
    "attribute",
    "capabilities",
    "removed",
)


def rows(changes: dict[str, Change], users: Sequence[str] = FOR_USERS) -> list[object]:
    """Each change for root, and some for an ordinary user."""
    return [
        pytest.param(who, change, id=f"{name}, {who}")
        for who in ("root", "user")
        for name, change in changes.items()
        if who == "root" or name in users
    ]


Programs = Callable[[str], Pybuild]


@pytest.mark.parametrize(("who", "change"), rows(SEEN))
def test_a_change_is_seen(programs: Programs, who: str, change: Change) -> None:
    with row(programs(who)) as at:
        right(at)
        before = facts(at.work / "tree")
        change(at.work / "tree")
        assert facts(at.work / "tree") != before
        assert right(at).ran == ["COPY tree /t"]


@pytest.mark.parametrize(("who", "change"), rows(UNSEEN | ROOT_UNSEEN, ["time", "order and inodes"]))
def test_what_does_not_matter_costs_nothing(programs: Programs, who: str, change: Change) -> None:
    with row(programs(who)) as at:
        right(at)
        change(at.work / "tree")
        assert right(at).cached == ["COPY tree /t"]


# --- what a RUN is shown ---------------------------------------------------------------------------


def shown(program: Pybuild, *arguments: str) -> Built:
    """Build what looks at the tree, and compare what it saw with what is there."""
    built = build(program, *arguments, text=BOUND).ok()
    with tarfile.open(program.work / "out.tar") as tar:
        file = tar.extractfile("seen")
        assert file is not None
        seen = file.read()
    look = ["busybox", "sh", program.work.parent / "look", program.work / "tree"]
    assert seen == subprocess.run(look, capture_output=True, check=True).stdout
    return built


RAN = "RUN --mount=type=bind,source=tree,target=/t /look /t > /seen"
IN_MOUNTS = ("same size and time", "same, swapped by rename", "mode of a directory", "target of a link", "renamed")


@pytest.mark.parametrize(
    ("who", "change"),
    rows(
        {name: SEEN[name] for name in IN_MOUNTS} | {"mode of what is named": UNSEEN["mode of what is named"]},
        ["renamed"],
    ),
)
def test_a_change_is_seen_in_a_mount(programs: Programs, who: str, change: Change) -> None:
    with row(programs(who)) as at:
        shown(at)
        change(at.work / "tree")
        assert shown(at).ran == [RAN]
        assert shown(at).cached == [RAN]


# --- during a build --------------------------------------------------------------------------------


def meanwhile(program: Pybuild, point: str, change: Change, text: str, *options: str) -> int:
    """Build, and make `change` when the build has come to `point`. Gives its exit status."""
    fifo = program.work / "fifo"
    os.mkfifo(fifo)
    os.chown(fifo, *os.stat(program.work)[4:6])
    program.file("Buildfile", text)
    name, _, time_ = point.partition("@")
    action = f"{name}=wait:{fifo}{'@' if time_ else ''}{time_}"
    listening = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with program.start("build", "--progress", "plain", *options, ".", PYBUILD_POINT=action) as running:
        try:
            poll = select.poll()
            poll.register(listening, select.POLLIN)
            assert poll.poll(20_000), f"no build came to {point}"
            os.close(listening)
            change(program.work / "tree")
            os.close(os.open(fifo, os.O_WRONLY))
            _, err = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode in (0, 5), err
    assert running.returncode == 0 or b"changed while it was being copied" in err, err
    fifo.unlink()
    return running.returncode


def _removed(path: Path) -> None:
    remove_tree(str(path)) if path.is_dir() else path.unlink()


MISSED, OPENED, COPIED = "step:missed", "copy:opened@3", "copy:copied@3"  # the third file of the tree is `file`
FAILS, HOLDS = 5, 0
DURING: dict[str, tuple[str, Change, int]] = {
    "content": (MISSED, SEEN["content"], FAILS),
    "same size and time": (MISSED, SEEN["same size and time"], FAILS),
    "swapped by rename": (MISSED, SEEN["same, swapped by rename"], FAILS),
    "in place while it is open": (OPENED, SEEN["same size and time"], FAILS),
    "swapped while it is open": (OPENED, SEEN["same, swapped by rename"], HOLDS),
    "in place after it was copied": (COPIED, SEEN["same size and time"], HOLDS),
    "removed": (MISSED, SEEN["removed"], FAILS),
    "directory removed": (MISSED, lambda tree: _removed(tree / "dir"), FAILS),
    "FIFO in place of a file": (MISSED, lambda tree: _become(tree / "file", os.mkfifo), FAILS),
    "link in place of a file": (MISSED, lambda tree: _become(tree / "file", lambda p: p.symlink_to("run")), FAILS),
    "written with the same": (MISSED, UNSEEN["written with the same"], HOLDS),
    "mode": (MISSED, SEEN["mode"], HOLDS),
    "mode of a directory": (MISSED, SEEN["mode of a directory"], HOLDS),
    "attribute": (MISSED, SEEN["attribute"], HOLDS),
    "target of a link": (MISSED, SEEN["target of a link"], HOLDS),
    "hard link cut": (MISSED, SEEN["hard link cut"], HOLDS),
    "file in place of a FIFO": (MISSED, SEEN["file in place of a FIFO"], HOLDS),
    "added": (MISSED, SEEN["added"], HOLDS),
}


@pytest.mark.parametrize(
    ("who", "name"),
    [("root", name) for name in DURING] + [("user", name) for name in ("swapped by rename", "mode", "removed")],
)
def test_a_change_during_a_build_is_not_kept_under_a_wrong_key(programs: Programs, who: str, name: str) -> None:
    """Whatever such a build leaves: the tree it ended with is built right, and so is the one it began with."""
    point, change, expected = DURING[name]
    with row(programs(who)) as at:
        tree, kept = at.work / "tree", at.work / "kept"
        (tree / "dir" / "sub" / "two").write_text(f"{name} {who}")  # a tree that no other row has
        subprocess.run(["cp", "-a", tree, kept], check=True)
        settle()
        assert meanwhile(at, point, change, TEXT) == expected
        right(at)
        remove_tree(str(tree))
        kept.rename(tree)
        right(at)


def test_a_change_during_a_build_is_not_shown_to_a_run(programs: Programs) -> None:
    with row(programs("root")) as at:
        kept = at.work / "kept"
        (at.work / "tree" / "dir" / "sub" / "two").write_text("mounted")
        subprocess.run(["cp", "-a", at.work / "tree", kept], check=True)
        settle()
        assert meanwhile(at, COPIED, SEEN["same, swapped by rename"], BOUND) == HOLDS
        shown(at)
        assert meanwhile(at, MISSED, SEEN["same size and time"], BOUND.replace("/look", "/look ")) == FAILS
        shown(at)
        remove_tree(str(at.work / "tree"))
        kept.rename(at.work / "tree")
        assert shown(at).cached == [RAN]


def _archive(content: bytes) -> bytes:
    return tar(member("in", content), member("more", b"m" * 50_000))


@pytest.mark.parametrize(
    ("point", "swapped", "paranoid", "expected"),
    [
        ("copy:opened", False, False, FAILS),
        ("copy:opened", False, True, FAILS),
        ("copy:opened", True, False, HOLDS),
        ("copy:opened", True, True, HOLDS),
        ("copy:unpacked", False, False, FAILS),  # what was unpacked was not hashed, so nobody knows
        ("copy:unpacked", False, True, HOLDS),
    ],
)
def test_an_archive_that_changes_while_it_is_unpacked(
    programs: Programs, point: str, swapped: bool, paranoid: bool, expected: int
) -> None:
    """`paranoid`: as with a file so new that its state says nothing, what is read is hashed."""
    with row(programs("root")) as at:
        text = "FROM scratch\nADD tree/a.tar /\n"
        path = at.work / "tree" / "a.tar"
        before, after = (_archive(f"{word} {point} {swapped} {paranoid}".encode()) for word in ("old", "new"))
        path.write_bytes(before)
        settle()

        def change(tree: Path) -> None:
            target = tree / "other" if swapped else path
            target.write_bytes(after)
            target.rename(path)

        assert meanwhile(at, point, change, text, *["--paranoid"] * paranoid) == expected
        for content in (after, before):
            path.write_bytes(content)
            assert build(at, text=text).status == 0
            assert layer((at.work / "out.tar").read_bytes()) == layer(content)


# --- as git has it, and trusting nothing -----------------------------------------------------------


@pytest.mark.parametrize("who", ["root", "user"])
def test_checkouts_under_any_umask_are_one_for_git(programs: Programs, who: str) -> None:
    with row(programs(who)) as at:
        tree = at.work / "tree"
        (tree / "fifo").unlink()
        (tree / "dir" / "sub" / "two").write_text(f"for git {who}")
        mode = "--context-mode=git"
        assert build(at, mode).ok().ran
        first = layer((at.work / "out.tar").read_bytes())
        for path in (tree, *tree.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o700)
        (tree / "dir").chmod(0o2770)
        _become(tree / "twin", lambda path: path.write_text("1"))
        os.removexattr(tree / "file", "user.colour")
        assert build(at, mode).ok().cached == ["COPY tree /t"]
        build(at, mode, "--no-cache").ok()
        assert layer((at.work / "out.tar").read_bytes()) == first
        assert {name: (what[1], what[3], what[4]) for name, what in first.items() if name != "link"} == {
            name: (0o755 if name in ("run", "dir", "dir/sub") else 0o644, (), ())
            for name in ("dir", "dir/one", "dir/sub", "dir/sub/two", "file", "run", "twin")
        }
        (tree / "file").chmod(0o700)
        assert build(at, mode).ok().ran == ["COPY tree /t"]
        assert build(at).ok().ran == ["COPY tree /t"], "as it is, it is another tree"


def test_a_context_from_an_archive_keeps_to_the_same_rules(programs: Programs) -> None:
    program = programs("root")
    trees = [
        tar(
            member("Buildfile", TEXT.encode(), mode=mode),
            member("tree", kind=tarfile.DIRTYPE, mode=0o700 | mode),
            member("tree/from", b"tar", mode=mode),
        )
        for mode in (0o600, 0o644)
    ]
    done = [program.try_("build", "--progress", "plain", "--context-mode=git", "-", input=data) for data in trees]
    assert [Built(d.returncode, d.stdout, d.stderr).ok().cached for d in done] == [[], ["COPY tree /t"]]
    other = program.try_("build", "--progress", "plain", "-", input=trees[0])
    assert Built(other.returncode, other.stdout, other.stderr).ok().ran == ["COPY tree /t"]


def test_a_paranoid_build_reads_everything(programs: Programs) -> None:
    """What the stat index says is not believed: here it is made to lie, as a disk or a mapped page might."""
    with row(programs("root")) as at:
        right(at)
        path = at.work / "tree" / "file"
        path.write_text("pARANOID")
        settle()
        right(at)
        with sqlite3.connect(at.root / "pybuild.db") as database:
            told, lie = (hashlib.sha256(content).digest() for content in (b"pARANOID", b"content"))
            ((known,),) = database.execute("SELECT contents FROM directories WHERE path = ?", (bytes(path.parent),))
            assert told in known
            changed = known.replace(told, lie), bytes(path.parent)
            database.execute("UPDATE directories SET contents = ? WHERE path = ?", changed)
            database.execute("DELETE FROM selections")
        database.close()
        assert build(at).ok().cached == ["COPY tree /t"]
        assert layer((at.work / "out.tar").read_bytes())["file"][2] == b"content", "the lie is believed"
        assert right(at, "--paranoid").cached == ["COPY tree /t"]
        right(at)


def test_a_paranoid_build_takes_no_damaged_layer(programs: Programs) -> None:
    with row(programs("root")) as at:
        (at.work / "tree" / "file").write_text("in a layer that will be damaged")
        right(at)
        assert right(at, "--paranoid").cached == ["COPY tree /t"]
        with sqlite3.connect(at.root / "pybuild.db") as database:
            ((blob,),) = database.execute(
                "SELECT blob FROM layers JOIN records USING (diff_id) ORDER BY records.created DESC LIMIT 1"
            ).fetchall()
        database.close()
        path = at.root / "blobs" / "sha256" / blob
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)
        assert right(at, "--paranoid").ran == ["COPY tree /t"]
        assert not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() == blob


WITHIN = """
import os, sys, time
from pathlib import Path
from builder import points
from builder.api.build import build
from builder.api.session import Session
from builder.errors import BadInputError
from builder.request import BuildRequest

path = Path("tree/file")

def change():
    before = path.stat()
    path.write_text("CONTENT")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    same.append(path.stat().st_ctime_ns == before.st_ctime_ns)

with Session(Path(sys.argv[1])) as session:
    session.worker().start()
    for attempt in range(20):
        same = []
        points.HOOKS.clear()
        time.sleep(1.01 - time.time() % 1)
        path.write_text("content")
        points.HOOKS["step:missed"] = change
        try:
            build(session, BuildRequest(no_cache=True))
            outcome = "built"
        except BadInputError as error:
            outcome = error.message
        if same == [True]:
            sys.exit(outcome)
"""


@pytest.mark.root
def test_a_file_system_of_whole_seconds_does_not_deceive(tmp_path: Path) -> None:
    """There a file changes within a second, and its state is the same in all that can be asked for."""
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext2", "-I", "128", image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
    try:
        program = Pybuild(tmp_path / "store", mounted)
        program.file("Buildfile", TEXT)
        (mounted / "tree").mkdir()
        done = subprocess.run(
            [sys.executable, "-c", WITHIN, program.root],
            cwd=mounted,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stderr.strip() == "tree/file changed while it was being copied"
        # and between builds, within one second
        (mounted / "tree" / "file").write_text("first")
        program.build(TEXT, "-o", "type=tar,dest=out.tar").ok()
        (mounted / "tree" / "file").write_text("other")
        program.build(TEXT, "-o", "type=tar,dest=out.tar").ok()
        assert layer((mounted / "out.tar").read_bytes())["file"][2] == b"other"
    finally:
        subprocess.run(["umount", mounted], check=True)
