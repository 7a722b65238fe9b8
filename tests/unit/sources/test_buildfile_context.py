"""Which files of a build context a COPY means, what stands for them in a key, when a remembered digest is trusted."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from builder.errors import BadInputError, BuildfileError, NotFoundError, PybuildError, UsageError
from builder.lang import parser
from builder.lang.ignore import Ignore
from builder.lang.source import Source
from builder.layers.copyjob import Choice
from builder.layers.entry import Kind
from builder.sources import attributes, buildfile, context, hashing, statindex, walk
from builder.sources.context import Context
from builder.sources.fixed import AS_IT_IS, Reading
from builder.sources.selection import Selection
from builder.store.open import Store

# What `make` writes: a file's content, or a symlink's target behind an arrow. A name with a slash at its end is a
# directory.
Tree = dict[str, str]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "context"
    path.mkdir()
    return path


def make(root: Path, tree: Tree) -> None:
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif content.startswith("-> "):
            path.symlink_to(content.removeprefix("-> "))
        else:
            path.write_text(content)


def select(
    store: Store, root: Path, *patterns: str, ignore: str = "", top: bool = False, reading: Reading = AS_IT_IS
) -> Selection:
    return Context(str(root), Ignore.parse(ignore), store.stats, reading).select(Choice(patterns), top=top)


def targets(selection: Selection) -> dict[str, list[str]]:
    """Each source with what it brings, relative to where it goes."""
    return {source.name: [entry.target for entry in source.entries] for source in selection.sources}


def paths(selection: Selection) -> list[str]:
    """The paths of the context that are copied, but no directories."""
    entries = (entry for source in selection.sources for entry in source.entries)
    return [entry.path for entry in entries if entry.kind is not Kind.DIRECTORY]


# --- the Buildfile -------------------------------------------------------------------------------


def test_a_buildfile_is_found_by_name(root: Path) -> None:
    make(root, {"Containerfile": "", "Dockerfile": ""})
    assert buildfile.find(str(root), None) == str(root / "Dockerfile")
    make(root, {"Buildfile": ""})
    assert buildfile.find(str(root), None) == str(root / "Buildfile")
    assert buildfile.find(str(root), "other") == "other"
    with pytest.raises(NotFoundError, match="no Buildfile in") as raised:
        buildfile.find(str(root / "nowhere"), None)
    assert (
        raised.value.hint == "it is looked for as Buildfile, Dockerfile, Containerfile; another is named with -f FILE"
    )


def test_a_directory_of_that_name_is_passed_over(root: Path) -> None:
    make(root, {"Buildfile/": "", "Dockerfile": ""})
    assert buildfile.find(str(root), None) == str(root / "Dockerfile")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (None, NotFoundError, "does not exist"),
        ("directory", UsageError, "is a directory, not a Buildfile"),
        (b"FROM x\0", BuildfileError, "is not text: it has NUL bytes"),
        (b"#" * ((8 << 20) + 1), BuildfileError, "is larger than 8 MiB"),
    ],
    ids=["missing", "directory", "NUL", "large"],
)
def test_what_is_no_buildfile(root: Path, content: object, kind: type[PybuildError], message: str) -> None:
    path = root / "Buildfile"
    if content == "directory":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(kind, match=message):
        buildfile.read(str(path))


def test_any_bytes_are_kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are no UTF-8: a file name may hold them."""
    data = b"FROM x\nRUN echo \xff \xc3\xbc\n"
    (root / "Buildfile").write_bytes(data)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    by_file, by_pipe = buildfile.read(str(root / "Buildfile")), buildfile.read("-")
    assert by_file.text == by_pipe.text == data.decode("utf-8", "surrogateescape")
    assert (by_file.name, by_pipe.name) == (str(root / "Buildfile"), "<stdin>")


def test_a_tree_is_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("Buildfile", "FROM x\nRUN one\n")
    tree = buildfile.parsed(source, store.memo)
    calls: list[Source] = []
    parse: Callable[[Source], object] = parser.parse
    monkeypatch.setattr(parser, "parse", lambda s: calls.append(s) or parse(s))
    assert buildfile.parsed(Source("elsewhere", source.text), store.memo) == tree
    assert calls == []
    buildfile.parsed(Source("Buildfile", source.text + "RUN two\n"), store.memo)
    assert len(calls) == 1
    store.db.execute("UPDATE memo SET value = ?", (b"\xc1 damaged",))
    assert buildfile.parsed(source, store.memo) == tree
    assert len(calls) == 2


def test_the_ignore_file_beside_the_buildfile_wins(root: Path) -> None:
    make(root, {".dockerignore": "of-context", "b/File.dockerignore": "of-file", "b/File": "", "c/File": ""})

    def rules(file: str) -> list[str]:
        return [rule.pattern for rule in buildfile.ignore_rules(str(root), file).rules]

    assert rules(str(root / "b" / "File")) == ["of-file"]
    assert rules(str(root / "c" / "File")) == ["of-context"]
    assert rules("-") == ["of-context"]
    (root / ".dockerignore").unlink()
    assert rules("-") == []
    (root / ".dockerignore").mkdir()
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        rules("-")


# --- what is selected ----------------------------------------------------------------------------

TREE: Tree = {
    "a.txt": "a", "b.txt": "b", "c.md": "c", ".hidden": "h", "empty/": "",
    "dir/one": "1", "dir/sub/two": "2", "dir/sub/deep/three": "3", "dir/link": "-> one",
    "file-link": "-> dir/one", "dir-link": "-> dir", "absolute": "-> /dir/sub", "up": "-> ../../../../a.txt",
    "dangling": "-> nowhere", "loop": "-> loop",
}  # fmt: skip


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("a.txt",), {"a.txt": [""]}),
        (("a.txt", "c.md"), {"a.txt": [""], "c.md": [""]}),
        (("dir/sub",), {"dir/sub": ["", "deep", "deep/three", "two"]}),
        (("empty",), {"empty": [""]}),
        (("*.txt",), {"a.txt": [""], "b.txt": [""]}),
        (("[ab].*",), {"a.txt": [""], "b.txt": [""]}),
        (("?.md",), {"c.md": [""]}),
        (("*/sub/t*",), {"dir-link/sub/two": [""], "dir/sub/two": [""]}),
        ((".h*",), {".hidden": [""]}),
        # a symlink that is named is followed, one that lies in a named directory is copied
        (("file-link",), {"file-link": [""]}),
        (("dir",), {"dir": ["", "link", "one", "sub", "sub/deep", "sub/deep/three", "sub/two"]}),
        (("dir-link/sub/deep",), {"dir-link/sub/deep": ["", "three"]}),
        (("absolute/two",), {"absolute/two": [""]}),
    ],
)
def test_what_patterns_mean(
    store: Store, root: Path, patterns: tuple[str, ...], expected: dict[str, list[str]]
) -> None:
    make(root, TREE)
    assert targets(select(store, root, *patterns)) == expected


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("file-link", "dir/one"),
        ("dir-link/sub/two", "dir/sub/two"),
        ("absolute/two", "dir/sub/two"),  # as if the context's root were /
        ("up", "a.txt"),  # .. stops there
        ("dir/link", "dir/one"),
    ],
)
def test_symlinks_stay_in_the_context(store: Store, root: Path, name: str, path: str) -> None:
    make(root.parent, {"a.txt": "outside", "dir/one": "outside"})
    make(root, TREE)
    assert paths(select(store, root, name)) == [path]


@pytest.mark.parametrize("name", ["dangling", "outside", "outside/passwd", "loop", "loop/x", "a.txt/x"])
def test_what_leads_nowhere(store: Store, root: Path, name: str) -> None:
    """A link out of the context is read as one inside it; there is no such path there."""
    make(root, {**TREE, "outside": "-> /etc"})
    with pytest.raises((NotFoundError, BadInputError)) as raised:
        select(store, root, name)
    assert raised.value.exit_code == (5 if name.startswith("loop") else 4)


def test_nothing_is_below_a_file(store: Store, root: Path) -> None:
    make(root, TREE)
    with pytest.raises(NotFoundError, match=r"a\.txt/x is not in the build context"):
        Context(str(root), Ignore(), store.stats).select(Choice(("a.txt/./x",), parents=True))


def test_the_root_may_be_a_symlink_itself(store: Store, root: Path, tmp_path: Path) -> None:
    make(root, TREE)
    (tmp_path / "alias").symlink_to(root)
    assert select(store, tmp_path / "alias", "dir").digest == select(store, root, "dir").digest


def test_what_is_missing_is_said_with_what_is_like_it(store: Store, root: Path) -> None:
    make(root, TREE)
    with pytest.raises(NotFoundError, match="dir/ome is not in the build context") as raised:
        select(store, root, "dir/ome")
    assert raised.value.hint == "did you mean dir/one?"
    assert targets(select(store, root, "*.pdf", "*.md")) == {"c.md": [""]}


def test_special_files(store: Store, root: Path) -> None:
    """A FIFO is copied as one; a socket cannot be, and is passed over where it only lies in a copied directory."""
    make(root, {"dir/file": ""})
    os.mkfifo(root / "dir" / "fifo")
    before = os.getcwd()
    os.chdir(root / "dir")  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(before)
    assert targets(select(store, root, "dir")) == {"dir": ["", "fifo", "file"]}
    assert [s.entries[0].kind for s in select(store, root, "dir/fifo").sources] == [Kind.FIFO]
    with pytest.raises(BadInputError, match="dir/socket is a socket or a device"):
        select(store, root, "dir/socket")


def test_names_of_any_bytes(store: Store, root: Path) -> None:
    name = b"\xff\n'\xc3\xbc"
    with open(os.fsencode(root) + b"/" + name, "wb"):
        pass
    assert paths(select(store, root, ".")) == [os.fsdecode(name)]


# --- what the ignore file hides ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("", ["a.txt", "b.txt", "d/1.log", "d/2", "d/e/3.log", "d/e/4"]),
        ("*.txt", ["d/1.log", "d/2", "d/e/3.log", "d/e/4"]),
        ("**/*.log", ["a.txt", "b.txt", "d/2", "d/e/4"]),
        ("*.log", ["a.txt", "b.txt", "d/1.log", "d/2", "d/e/3.log", "d/e/4"]),
        ("d", ["a.txt", "b.txt"]),
        ("d/e", ["a.txt", "b.txt", "d/1.log", "d/2"]),
        ("/d/e/", ["a.txt", "b.txt", "d/1.log", "d/2"]),
        ("d\n!d/e/4", ["a.txt", "b.txt", "d/e/4"]),
        ("*\n!d/*.log", ["d/1.log"]),
        ("*\n!**/*.log", ["d/1.log", "d/e/3.log"]),
        ("!a.txt\n*.txt", ["d/1.log", "d/2", "d/e/3.log", "d/e/4"]),
        ("# a comment\n\n*.txt\n!b.txt", ["b.txt", "d/1.log", "d/2", "d/e/3.log", "d/e/4"]),
        ("**", []),
    ],
)
def test_the_walk_keeps_to_the_ignore_rules(store: Store, root: Path, rules: str, expected: list[str]) -> None:
    make(root, {"a.txt": "", "b.txt": "", "d/1.log": "", "d/2": "", "d/e/3.log": "", "d/e/4": ""})
    assert paths(select(store, root, ".", ignore=rules)) == expected


def test_a_directory_shown_again_in_part_brings_those_above_it(store: Store, root: Path) -> None:
    make(root, {"d/e/4": "", "d/e/5": "", "d/f/6": "", "g/7": ""})
    assert targets(select(store, root, ".", ignore="d\n!d/e/4")) == {".": ["", "d", "d/e", "d/e/4", "g", "g/7"]}


def test_what_is_hidden_cannot_be_named(store: Store, root: Path) -> None:
    make(root, {"secret/key": "", "link": "-> secret/key", "shown": ""})
    for pattern in ("secret/key", "secret", "link"):
        with pytest.raises(NotFoundError) as raised:
            select(store, root, pattern, ignore="# rules\nsecret\n")
        assert ".dockerignore:2 (secret)" in raised.value.message
        assert str(raised.value.hint).startswith("a line !secret")
    assert targets(select(store, root, "s*", ignore="secret")) == {"shown": [""]}


def _called(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")


def test_nothing_is_read_but_what_is_named(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {"named/in/file": "", "other/in/file": "", "named/hidden/deep/file": "", "named/hidden/x": ""})
    seen: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(walk.os, "scandir", lambda fd: seen.append(os.path.relpath(_called(fd), root)) or scandir(fd))
    opened: list[str] = []
    read = hashing.file_sha256
    monkeypatch.setattr(
        hashing, "file_sha256", lambda fd, size: opened.append(os.path.relpath(_called(fd), root)) or read(fd, size)
    )
    select(store, root, "named", ignore="named/hidden")
    assert seen == ["named", "named/in"]
    assert opened == ["named/in/file"]


# --- what stands for it in a key -----------------------------------------------------------------


def _touch(root: Path) -> None:
    os.utime(root / "dir" / "one", (1, 1))
    os.utime(root / "dir", (1, 1))


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        (lambda root: (root / "dir" / "one").write_text("other"), True),
        (lambda root: (root / "dir" / "one").chmod(0o600), True),
        (lambda root: (root / "dir" / "sub").chmod(0o700), True),
        (lambda root: (root / "dir" / "one").rename(root / "dir" / "uno"), True),
        (lambda root: (root / "dir" / "new").write_text(""), True),
        (lambda root: (root / "dir" / "new").mkdir(), True),
        (lambda root: (root / "dir" / "sub" / "two").unlink(), True),
        (lambda root: ((root / "dir" / "link").unlink(), (root / "dir" / "link").symlink_to("./one")), True),
        (_touch, False),
        (lambda root: (root / "other").write_text("other"), False),
        (lambda root: (root / "dir" / "x.log").write_text("hidden"), False),
        (lambda root: ((root / "dir" / "one").unlink(), (root / "dir" / "one").write_text("1")), False),
    ],
    ids=[
        "content", "mode", "directory's mode", "name", "file", "directory", "gone", "link", "times", "elsewhere",
        "hidden", "inode",
    ],
)  # fmt: skip
def test_what_matters_for_a_key(store: Store, root: Path, change: Callable[[Path], object], matters: bool) -> None:
    make(root, TREE)
    before = select(store, root, "dir", ignore="**/*.log").digest
    change(root)
    assert (select(store, root, "dir", ignore="**/*.log").digest != before) == matters


def test_hard_links_matter(store: Store, root: Path) -> None:
    make(root, {"dir/a": "x", "dir/b": "x"})
    before = select(store, root, "dir").digest
    (root / "dir" / "b").unlink()
    os.link(root / "dir" / "a", root / "dir" / "b")
    assert select(store, root, "dir").digest != before


def test_the_place_of_the_context_does_not_matter(store: Store, root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "place"
    other.mkdir(parents=True)
    for place in (root, other):
        make(place, TREE)
    assert select(store, root, "dir", "*.txt").digest == select(store, other, "dir", "*.txt").digest


def test_a_name_matters_where_it_is_the_targets(store: Store, root: Path) -> None:
    make(root, {"a": "x", "b": "x"})
    assert select(store, root, "a").digest != select(store, root, "b").digest


def test_a_directory_that_is_named_counts_only_where_it_is_shown(store: Store, root: Path) -> None:
    """A COPY makes its destination like any directory; a mount shows the source's own mode."""
    make(root, TREE)
    before, shown = select(store, root, "dir").digest, select(store, root, "dir", top=True).digest
    (root / "dir").chmod(0o700)
    assert select(store, root, "dir").digest == before
    assert select(store, root, "dir", top=True).digest != shown


# --- attributes, and files as git has them -------------------------------------------------------

CAPABLE = bytes.fromhex("0100000200040000000000000000000000000000")


def test_attributes_count(store: Store, root: Path) -> None:
    make(root, {"dir/file": "", "dir/sub/": ""})
    seen = {select(store, root, "dir").digest}
    for name, value in (("user.a", b"1"), ("user.a", b"2"), ("user.b", b"")):
        os.setxattr(root / "dir" / "file", name, value)
        seen.add(select(store, root, "dir").digest)
    os.setxattr(root / "dir" / "sub", "user.a", b"1")
    chosen = select(store, root, "dir")
    assert len({*seen, chosen.digest}) == 5
    fixed = {e.target: e.fixed.xattrs for e in chosen.sources[0].entries if e.fixed is not None}
    assert fixed == {"file": (("user.a", b"2"), ("user.b", b"")), "sub": (("user.a", b"1"),)}


def test_attributes_of_a_file_that_is_not_read_again(store: Store, root: Path) -> None:
    make(root, {"file": "x"})
    os.setxattr(root / "file", "user.a", b"\0\xff")
    time.sleep(0.05)
    first = select(store, root, "file")
    kept = store.stats.directories([str(root)])[str(root)]
    assert kept.xattrs == {0: (("user.a", b"\0\xff"),)}
    again = select(store, root, "file")
    assert (again.digest, again.sources) == (first.digest, first.sources)


def test_which_attributes_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of capabilities that are a namespace's, what the namespace sees: the second revision (linux/capability.h)."""
    values = {
        "user.x": b"1",
        "user.overlay.opaque": b"y",
        "user.pybuild.owner": b"1:1",
        "user.fuseoverlayfs.origin": b"",
        "security.capability": b"\x01\0\0\x03" + CAPABLE[4:] + b"\xe8\x03\0\0",
        "security.selinux": b"label",
        "system.posix_acl_access": b"acl",
        "trusted.x": b"root's",
    }
    monkeypatch.setattr(attributes.os, "listxattr", lambda path, follow_symlinks: list(values))
    monkeypatch.setattr(attributes.os, "getxattr", lambda path, name, follow_symlinks: values[name])
    assert attributes.attributes("any") == (("security.capability", CAPABLE), ("user.x", b"1"))


def test_as_git_would_record_it(store: Store, root: Path) -> None:
    """The same files with another umask, more links and attributes: another context, but not for git."""
    tree = {"dir/file": "1", "dir/run": "2", "dir/sub/file": "3", "dir/link": "-> file"}
    other = root.parent / "other"
    for place, umask in ((root, 0o022), (other, 0o077)):
        place.mkdir(exist_ok=True)
        before = os.umask(umask)
        try:
            make(place, tree)
        finally:
            os.umask(before)
        (place / "dir" / "run").chmod(0o777 & ~umask)
    (other / "dir" / "sub").chmod(0o2770)
    (other / "dir" / "file").chmod(0o660)
    (other / "dir" / "run").chmod(0o4711)
    os.setxattr(other / "dir" / "file", "user.a", b"1")
    (root / "dir" / "sub" / "file").unlink()
    (root / "dir" / "sub" / "file").write_text("1")
    (other / "dir" / "sub" / "file").unlink()
    os.link(other / "dir" / "file", other / "dir" / "sub" / "file")
    assert select(store, root, "dir").digest != select(store, other, "dir").digest
    as_git = Reading(git=True)
    chosen = select(store, other, "dir", reading=as_git)
    assert chosen.digest == select(store, root, "dir", reading=as_git).digest
    modes = {e.target: e.fixed.mode for e in chosen.sources[0].entries if e.fixed is not None}
    assert modes == {"file": 0o644, "run": 0o755, "sub": 0o755, "sub/file": 0o644, "link": 0o777}
    (other / "dir" / "file").chmod(0o711)
    assert select(store, other, "dir", reading=as_git).digest != chosen.digest


# --- what changes while it is looked at ----------------------------------------------------------


@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_goes_while_its_directory_is_read_was_never_there(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    make(root, {"dir/kept": "1", f"dir/gone{'/' if what == 'directory' else ''}": ""})
    scandir = os.scandir

    def removing(fd: int) -> object:
        found = list(scandir(fd))
        if (root / "dir" / "gone").exists() and _called(fd).endswith("dir"):
            (root / "dir" / "gone").rmdir() if what == "directory" else (root / "dir" / "gone").unlink()
        return contextlib.nullcontext(found)

    monkeypatch.setattr(walk.os, "scandir", removing)
    assert targets(select(store, root, "dir")) == {"dir": ["", "kept"]}


def test_a_directory_that_becomes_a_link_is_not_followed(
    store: Store, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was walked, and before its files are read."""
    make(tmp_path, {"outside/file": "2"})
    make(root, {"dir/file": "1"})

    def contents(*arguments: object, **more: object) -> object:
        (root / "dir").rename(root / "other")
        (root / "dir").symlink_to(tmp_path / "outside")
        return statindex.contents(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(context, "contents", contents)
    with pytest.raises(BadInputError, match="dir changed while it was read"):
        select(store, root, "dir")


@pytest.mark.parametrize("what", ["gone", "link", "directory", "fifo"])
def test_what_becomes_something_else_is_told_of(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It changes after it was found and before it is read; nothing is followed or waited for."""
    make(root, {"dir/a": "-> b", "dir/file": "1"})
    path = root / "dir" / "file"

    def contents(*arguments: object, **more: object) -> object:
        path.unlink()
        match what:
            case "link":
                path.symlink_to("/etc/passwd")
            case "directory":
                path.mkdir()
            case "fifo":
                os.mkfifo(path)
        return statindex.contents(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(context, "contents", contents)
    with pytest.raises(BadInputError, match="dir/file changed while it was read"):
        select(store, root, "dir")


def test_a_link_that_becomes_a_file_is_told_of(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {"dir/a": "-> b"})
    readlink = os.readlink

    def reading(name: str, *, dir_fd: int) -> str:
        (root / "dir" / "a").unlink()
        (root / "dir" / "a").write_text("")
        return readlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(walk.os, "readlink", reading)
    with pytest.raises(BadInputError, match="dir/a changed while it was read"):
        select(store, root, "dir")


def test_a_mode_that_changes_before_the_file_is_read_is_the_later_one(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key and layer have the mode of the status that the content belongs to."""
    make(root, {"file": "1"})

    def contents(*arguments: object, **more: object) -> object:
        (root / "file").chmod(0o600)
        return statindex.contents(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(context, "contents", contents)
    ((entry,),) = (source.entries for source in select(store, root, "file").sources)
    assert entry.fixed is not None
    assert entry.fixed.mode == 0o600


# --- what is looked at again ---------------------------------------------------------------------


def _reads(monkeypatch: pytest.MonkeyPatch, root: Path) -> list[str]:
    """The files that are read from now on."""
    found: list[str] = []
    read = hashing.file_sha256

    def seen(fd: int, size: int) -> bytes:
        found.append(os.path.relpath(_called(fd), root))
        return read(fd, size)

    monkeypatch.setattr(hashing, "file_sha256", seen)
    return found


def test_only_what_was_edited_is_read_again(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {f"dir/{number}/{name}": name for number in range(5) for name in "abc"} | {"dir/sub/": ""})
    time.sleep(0.05)
    select(store, root, "dir")
    reads = _reads(monkeypatch, root)
    (root / "dir" / "3" / "b").write_text("edited")
    (root / "dir" / "4" / "new").write_text("new")
    (root / "dir" / "2" / "a").unlink()
    (root / "dir" / "0" / "a").chmod(0o600)
    time.sleep(0.05)
    again = select(store, root, "dir")
    assert sorted(reads) == ["dir/0/a", "dir/3/b", "dir/4/new"]
    assert select(store, root, "dir").digest == again.digest
    assert len(reads) == 3


def test_of_what_did_not_change_nothing_is_made_but_the_walk(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(root, {f"dir/{number}/{name}": name for number in range(5) for name in "abc"})
    time.sleep(0.05)
    first = select(store, root, "dir", "dir/1/a")

    def called(*_: object, **__: object) -> NoReturn:
        pytest.fail("asked for")

    for name in ("contents", "fixed"):
        monkeypatch.setattr(context, name, called)
    again = select(store, root, "dir", "dir/1/a")
    assert (again.digest, again.proof) == (first.digest, first.proof)
    monkeypatch.undo()
    assert again.sources == first.sources, "made when it is asked for"


def test_a_walk_that_proved_nothing_is_the_one_that_selects(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(root, {"dir/a": "1", "dir/sub/b": "2"})
    time.sleep(0.05)
    proof = select(store, root, "dir").proof
    assert proof is not None
    (root / "dir" / "a").write_text("edited")
    opened = Context(str(root), Ignore(), store.stats)
    assert not opened.still(proof)
    monkeypatch.setattr(walk.os, "scandir", lambda _: pytest.fail("walked again"))
    edited = opened.select(Choice(("dir",)))
    monkeypatch.undo()
    assert edited.digest == select(store, root, "dir").digest


def test_what_is_asked_for_too_late_is_told_of(store: Store, root: Path) -> None:
    """The index knows the digest, but no longer what the files hold; and one of them has changed since the walk."""
    make(root, {"dir/a": "1"})
    time.sleep(0.05)
    select(store, root, "dir")
    known = select(store, root, "dir")
    store.db.execute("DELETE FROM directories")
    (root / "dir" / "a").write_text("edited")
    with pytest.raises(BadInputError, match="changed while it was read"):
        _ = known.sources
