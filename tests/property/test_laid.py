"""Layers laid on each other in memory show what unpacking them shows: against the model that merging is held to."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import BadInputError, NotFoundError
from builder.layers import laid
from builder.layers.entry import Entry, Kind
from builder.layers.extract import hashed
from builder.layers.laid import Change, Tree
from builder.layers.tarread import read_entries
from tests.property.test_squash import Made, applied, file, layers, tar
from tests.property.test_squash import shown as model


def stacked(tars: Sequence[bytes]) -> tuple[Tree, list[list[Change]]]:
    tree = Tree()
    changes = [tree.lay(hashed(entry, data) for entry, data in read_entries(io.BytesIO(one))) for one in tars]
    return tree, changes


def shown(tree: Tree) -> dict[str, object]:
    names: dict[int, list[str]] = defaultdict(list)
    found: dict[str, object] = {}
    for path, node in sorted(tree.walk()):
        entry = node.file.entry
        names[id(node.file)].append(path)
        seen = (entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime, entry.nanoseconds, entry.link)
        found[path] = (seen, (entry.xattrs, entry.digest and entry.digest.hex), names[id(node.file)])
        assert node.file.names == 0 or node.kind is not Kind.DIRECTORY or node.children is not None
    for _, node in tree.walk():
        assert node.file.names == len(names[id(node.file)])
    return found


def of_model(tars: Sequence[bytes]) -> dict[str, object]:
    """As the model has it, with digests of files alone."""
    found: dict[str, object] = {}
    for path, (seen, more, names) in model(applied(tars)).items():  # type: ignore[misc]
        found[path] = (seen, more if seen[0] is Kind.FILE else (more[0], None), names)
    return found


@settings(max_examples=400, deadline=None)
@given(st.lists(layers(), min_size=1, max_size=4))
def test_it_shows_what_unpacking_shows(above: list[list[Made]]) -> None:
    tars = list(map(tar, above))
    tree, changes = stacked(tars)
    assert shown(tree) == of_model(tars)
    # What is told to have changed makes the tree.
    paths: set[str] = set()
    lost: list[int] = []
    for change in (one for layer in changes for one in layer if one.path):
        (paths.discard if change.after is None else paths.add)(change.path)
        assert change.before is not None or change.after is not None
        lost += [id(change.before)] if change.lost else []
    assert paths == {path for path, _ in tree.walk()}
    assert len(lost) == len(set(lost))
    showing = {id(node.file) for _, node in tree.walk()}
    brought = {id(change.after): change.after for layer in changes for change in layer if change.after and change.path}
    assert {one for one in brought if one not in showing} == set(lost)


@settings(max_examples=100, deadline=None)
@given(st.lists(layers(), min_size=1, max_size=3))
def test_the_number_of_an_entry_leads_to_it(above: list[list[Made]]) -> None:
    tars = list(map(tar, above))
    tree, _ = stacked(tars)
    for _, node in tree.walk():
        found = [entry for entry, _ in read_entries(io.BytesIO(tars[node.file.layer]))][node.file.place]
        assert (found.path, found.kind) == (node.file.entry.path, node.kind)


def kinds(tree: Tree) -> dict[str, Kind]:
    return {path: node.kind for path, node in tree.walk()}


def test_entries_of_a_layer_go_through_its_own_links_and_replace_those_below() -> None:
    link = Made(Entry("a", Kind.SYMLINK, 0o777, link="b"))
    directory = Made(Entry("b", Kind.DIRECTORY, 0o755))
    tree, _ = stacked([tar([directory, link, file("a/x")])])
    assert kinds(tree) == {"a": Kind.SYMLINK, "b": Kind.DIRECTORY, "b/x": Kind.FILE}
    tree, changes = stacked([tar([directory, link]), tar([file("a/x")])])
    assert kinds(tree) == {"a": Kind.DIRECTORY, "a/x": Kind.FILE, "b": Kind.DIRECTORY}
    assert [change.path for change in changes[1]] == ["a", "a/x"]
    tree, _ = stacked([tar([Made(Entry("a", Kind.SYMLINK, 0o777, link="gone")), file("a/x")])])
    assert kinds(tree)["a"] is Kind.DIRECTORY


def test_links_stay_inside() -> None:
    links = {"up": "../../../d/f", "abs": "/d", "chain": "abs/f", "round": "round", "far": "d/none", "through": "d/f/x"}
    layer = [Made(Entry(name, Kind.SYMLINK, 0o777, link=link)) for name, link in links.items()]
    tree, _ = stacked([tar([Made(Entry("d", Kind.DIRECTORY)), file("d/f"), *layer])])
    for path in ("up", "abs/f", "/chain", "d/../d/./f", "d//f", "../d/f"):
        assert tree.resolve(path)[0] == "d/f"
    assert tree.resolve("up", follow=False)[0] == "up"
    assert tree.resolve("/")[0] == ""
    for path in ("round", "far", "through", "d/f/x", "none"):
        with pytest.raises(NotFoundError, match="is not there"):
            tree.resolve(path)


def test_a_deletion_of_nothing_is_nothing_and_the_last_entry_counts() -> None:
    tree, changes = stacked([tar([file("a"), file("a", b"again"), Made(Entry("b/c", Kind.WHITEOUT))])])
    assert kinds(tree) == {"a": Kind.FILE}
    assert [(change.before is None, change.lost) for change in changes[0]] == [(True, False), (False, True)]


@pytest.mark.parametrize("link", ["gone", "d"])
def test_hard_links_to_what_has_no_data_are_refused(link: str) -> None:
    with pytest.raises(BadInputError, match="is a link to"):
        stacked([tar([Made(Entry("d", Kind.DIRECTORY)), Made(Entry("x", Kind.HARDLINK, link=link))])])


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = [Made(Entry("/".join("d" * 900), Kind.OPAQUE)), *(file(f"{'d/' * n}f") for n in range(900))]
    stacked([tar(deep)])
    monkeypatch.setattr(laid, "_MOST_STEPS", 10_000)
    with pytest.raises(BadInputError, match="too many directories"):
        stacked([tar(deep)])
    monkeypatch.setattr(laid, "MOST_ENTRIES", 5)
    with pytest.raises(BadInputError, match="too many files: 6"):
        stacked([tar([file(str(n)) for n in range(6)])])
    with pytest.raises(BadInputError, match="too long"):
        stacked([tar([file(os.path.join(*["x" * 250] * 20))])])
