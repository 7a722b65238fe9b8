"""Which files of a build context a COPY means, what stands for them in a key, when a remembered digest is trusted."""

from __future__ import annotations

import io
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from builder.digest import Digest
from builder.errors import BadInputError, BuildfileError, NotFoundError, PybuildError, UsageError
from builder.lang import parser
from builder.lang.ignore import Ignore
from builder.lang.source import Source
from builder.layers.copyjob import Choice
from builder.layers.entry import Kind
from builder.sources import buildfile, context, statindex
from builder.sources.context import Context, Selection
from builder.sources.statindex import digests, stat_key
from builder.store.open import Store
from builder.store.stats import StatTable

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


def select(store: Store, root: Path, *patterns: str, ignore: str = "") -> Selection:
    return Context(str(root), Ignore.parse(ignore), store.stats).select(Choice(patterns))


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


def test_nothing_is_read_but_what_is_named(store: Store, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {"named/in/file": "", "other/in/file": "", "named/hidden/deep/file": "", "named/hidden/x": ""})
    seen: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(context.os, "scandir", lambda path: seen.append(os.path.relpath(path, root)) or scandir(path))
    opened: list[str] = []
    read = statindex._read
    monkeypatch.setattr(statindex, "_read", lambda path: opened.append(os.path.relpath(path, root)) or read(path))
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


def test_a_change_after_the_selection_is_noticed(store: Store, root: Path) -> None:
    make(root, TREE)
    chosen = select(store, root, "dir", "a.txt")
    chosen.confirm()
    (root / "dir" / "sub" / "two").write_text("other")
    with pytest.raises(BadInputError, match="dir/sub/two changed while it was being copied"):
        chosen.confirm()
    (root / "a.txt").unlink()
    with pytest.raises(BadInputError, match="changed while it was being copied"):
        chosen.confirm()


# --- when a remembered digest is trusted ---------------------------------------------------------


@pytest.fixture
def table(store: Store) -> StatTable:
    return store.stats


def hashed(table: StatTable, path: Path) -> Digest:
    (found,) = digests(table, [(str(path), os.stat(path))])
    return found.digest


def test_what_is_remembered_is_not_read(table: StatTable, root: Path) -> None:
    make(root, {"file": "content"})
    path = root / "file"
    table.remember([(stat_key(path.stat()), Digest.of(b"remembered"))])
    assert hashed(table, path) == Digest.of(b"remembered")
    path.chmod(0o600)
    assert hashed(table, path) == Digest.of(b"content")


@pytest.mark.parametrize("attribute", range(6), ids=["device", "inode", "size", "mtime", "ctime", "mode"])
def test_every_part_of_the_state_counts(table: StatTable, root: Path, attribute: int) -> None:
    make(root, {"file": "content"})
    key = list(stat_key((root / "file").stat()))
    key[attribute] += 1
    table.remember([(tuple(key), Digest.of(b"another state's"))])  # type: ignore[list-item]
    assert hashed(table, root / "file") == Digest.of(b"content")


@pytest.mark.parametrize(
    ("ctime", "later", "remembered"),
    [
        (5_000_000_001, 0, False),
        (5_000_000_001, 15_000_000, False),  # within a tick of the kernel's clock
        (5_000_000_001, 25_000_000, True),
        (5_000_000_000, 25_000_000, False),  # a file system that keeps whole seconds, by its zeros
        (5_000_000_000, 1_900_000_000, False),
        (5_000_000_000, 2_100_000_000, True),
        (5_000_000_001, -1_000_000_000, False),  # a clock that was set back
    ],
)
def test_the_racy_rule(
    table: StatTable, root: Path, monkeypatch: pytest.MonkeyPatch, ctime: int, later: int, remembered: bool
) -> None:
    """A file that was touched as late as this could change again without its times changing."""
    make(root, {"file": "content"})
    state = (1, 2, 3, 4, ctime, 0o644)
    monkeypatch.setattr(statindex, "stat_key", lambda _: state)
    monkeypatch.setattr(statindex, "time", SimpleNamespace(time_ns=lambda: ctime + later))
    assert hashed(table, root / "file") == Digest.of(b"content")
    assert table.lookup([state]) == [Digest.of(b"content") if remembered else None]


def test_a_settled_file_is_remembered_by_itself(table: StatTable, root: Path) -> None:
    make(root, {"file": "content"})
    deadline = time.monotonic() + 30
    while table.lookup([stat_key((root / "file").stat())]) == [None]:
        assert time.monotonic() < deadline
        assert hashed(table, root / "file") == Digest.of(b"content")
    assert table.lookup([stat_key((root / "file").stat())]) == [Digest.of(b"content")]


def test_a_change_in_the_same_tick_is_seen(table: StatTable, root: Path) -> None:
    """The same size and the same times, as a program that restores them leaves it."""
    path = root / "file"
    for number in range(50):
        content = f"{number:04}"
        path.write_text(content)
        os.utime(path, ns=(1, 1))
        assert hashed(table, path) == Digest.of(content.encode())


def test_a_file_that_changes_while_it_is_read(table: StatTable, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root, {"file": "content"})
    digest = statindex.hashlib.file_digest

    def slowly(file: object, name: str) -> object:
        (root / "file").write_text("other content")
        return digest(file, name)

    monkeypatch.setattr(statindex.hashlib, "file_digest", slowly)
    with pytest.raises(BadInputError, match="file changed while it was read"):
        hashed(table, root / "file")
