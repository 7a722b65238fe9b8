"""What is taken of a tree has a digest of its own: all that is taken counts, nothing else, and no time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.keys.listing import Listed, entries
from builder.layers import chosen
from builder.layers.copyjob import Choice, Chosen

CHOICES = {
    "file": Chosen(Choice(("out/a",))),
    "directory": Chosen(Choice(("out/sub",))),
    "mounted": Chosen(Choice(("out/sub",)), top=True),
    "through a link": Chosen(Choice(("out/link/b",))),
    "pattern": Chosen(Choice(("out/s*/b",))),
    "names": Chosen(Choice(("out/[ay]",))),
    "excluded": Chosen(Choice(("out/sub",), ("deep",))),
    "parents": Chosen(Choice(("out/./sub/deep",), parents=True)),
    "two": Chosen(Choice(("out/sub/b", "out/sub/deep"))),
    "missing": Chosen(Choice(("out/later",))),
    "all": Chosen(Choice(("",), ("nothing",))),
}
Change = Callable[[Path], object]


def write(path: str, text: str) -> Change:
    return lambda root: (root / path).write_text(text)


def mode(path: str, bits: int) -> Change:
    return lambda root: (root / path).chmod(bits)


def link(path: str, target: str) -> Change:
    return lambda root: ((root / path).unlink(missing_ok=True), (root / path).symlink_to(target))


def twin(path: str, of: str) -> Change:
    return lambda root: ((root / path).unlink(missing_ok=True), (root / path).hardlink_to(root / of))


def attribute(path: str) -> Change:
    return lambda root: os.setxattr(root / path, "user.a", b"v")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "out/sub/deep").mkdir(parents=True)
    (tmp_path / "out/other").mkdir()
    for path, text in {"a": "a", "sub/b": "b", "sub/deep/c": "c", "other/b": "b"}.items():
        (tmp_path / "out" / path).write_text(text)
    (tmp_path / "out/link").symlink_to("/out/sub")
    (tmp_path / "out/sub/twin").hardlink_to(tmp_path / "out/sub/deep/c")
    os.mkfifo(tmp_path / "out/sub/pipe")
    return tmp_path


def digests(root: Path) -> dict[str, Digest]:
    return {name: Digest.of(chosen.listing(str(root), choice)) for name, choice in CHOICES.items()}


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda root: os.utime(root / "out/a", (1, 1)), ""),
        (write("new", ""), "all"),
        (mode("out", 0o750), "all"),
        (write("out/a", "A"), "file, names, all"),
        (mode("out/a", 0o600), "file, names, all"),
        (attribute("out/a"), "file, names, all"),
        (lambda root: (root / "out/a").rename(root / "out/y"), "file, names, all"),
        (link("out/a", "sub/b"), "file, names, all"),
        (twin("out/y", "out/a"), "names, all"),
        (write("out/later", ""), "missing, all"),
        (write("out/sub/b", "B"), "directory, mounted, through a link, pattern, excluded, two, all"),
        (mode("out/sub", 0o700), "mounted, parents, all"),
        (attribute("out/sub"), "mounted, parents, all"),
        (mode("out/sub/deep", 0o700), "directory, mounted, parents, all"),
        (twin("out/sub/same", "out/sub/b"), "directory, mounted, excluded, all"),
        (lambda root: shutil.copy2(root / "out/sub/b", root / "out/sub/same"), "directory, mounted, excluded, all"),
        # The first name of a file with two goes: the other is a file then.
        (lambda root: (root / "out/sub/deep/c").unlink(), "directory, mounted, parents, two, all"),
        (lambda root: (root / "out/sub/pipe").unlink(), "directory, mounted, excluded, all"),
        (link("out/link", "other"), "all"),  # the same content
        (lambda root: (link("out/link", "other")(root), write("out/other/b", "B")(root)), "through a link, all"),
        (lambda root: (root / "out/other").rename(root / "out/s2"), "pattern, all"),
    ],
)
def test_what_is_taken_counts_and_nothing_else(root: Path, change: Change, seen: str) -> None:
    before = digests(root)
    change(root)
    after = digests(root)
    assert [name for name in CHOICES if before[name] != after[name]] == seen.split(", ") * bool(seen)


def test_it_does_not_matter_where_a_tree_lies(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = tmp_path_factory.mktemp("moved") / "tree"
    before = digests(root)
    root.rename(moved)
    assert digests(moved) == before


def test_what_a_digest_is_remembered_by_tells_choices_and_trees_apart() -> None:
    one, other = Digest.of(b"1"), Digest.of(b"2")
    names = {chosen.name(chain) for chain in (one, other) for chosen in CHOICES.values()}
    assert len(names) == 2 * len(CHOICES)
    assert Chosen(Choice(("caf\udce9",))).name(one) != Chosen(Choice(("café",))).name(one)


def test_only_all_of_a_root_is_whole() -> None:
    assert Chosen(Choice(("",))).whole
    assert not any(chosen.whole for chosen in CHOICES.values())


def test_a_list_can_be_read_again(root: Path) -> None:
    os.setxattr(root / "out/sub/b", "user.a", b"v")
    read = entries(chosen.listing(str(root), CHOICES["directory"]))
    c, owner = Digest.of(b"c").hex, f"{os.geteuid()}:{os.getegid()}"
    assert {path: (entry.kind, entry.content, entry.same) for path, entry in read.items()} == {
        "b": ("file", Digest.of(b"b").hex, ""),
        "deep": ("dir", "-", ""),
        "deep/c": ("file", c, ""),
        "pipe": ("fifo", "-", ""),
        "twin": ("file", c, "deep/c"),
    }
    assert read["b"] == Listed("file", "644", Digest.of(b"b").hex, "", (("user.a", "76"),), owner)
    assert list(entries(chosen.listing(str(root), CHOICES["file"]))) == ["a"]
    (root / "out/other/odd'name\n").symlink_to("to 0:0")
    odd = entries(chosen.listing(str(root), Chosen(Choice(("out/other",)))))["odd'name\n"]
    assert odd == Listed("symlink", "777", "to 0:0", owner=owner)


def test_a_long_list_is_its_digest(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = chosen.listing(str(root), CHOICES["all"])
    monkeypatch.setattr(chosen, "_LONGEST", 100)
    head, digest = chosen.listing(str(root), CHOICES["all"]).decode().split("\n")
    assert (whole.startswith(head.encode()), digest) == (True, str(Digest.of(whole)))


def test_large_files_are_hashed_side_by_side_with_the_same_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        (tmp_path / str(number)).write_bytes(bytes([number]) * number * 100)
    (tmp_path / "twin").hardlink_to(tmp_path / "5")
    (tmp_path / "link").symlink_to("5")
    one_by_one = chosen.listing(str(tmp_path), Chosen(Choice(("",))))
    monkeypatch.setattr(chosen, "_LARGE", 200)
    assert chosen.listing(str(tmp_path), Chosen(Choice(("",)))) == one_by_one
