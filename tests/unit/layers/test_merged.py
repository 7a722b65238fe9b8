"""What stacks show when nothing is mounted, and what a copy of one tells of what was done to it."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from builder.layers.changes import changes
from builder.layers.compare import pairs
from builder.layers.entry import Kind
from builder.layers.merged import listing
from builder.layers.whiteout import Form, set_form
from builder.linux.syscalls import mknod_whiteout
from builder.snapshots.copying import copy_stack, mount_time

NAMES = st.sampled_from("abc")
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
# What a layer does, in order: a file with a content, a directory, or nothing any more at a path.
LAYERS = st.lists(st.lists(st.tuples(PATHS, st.sampled_from(["file", "other", "dir", "gone"])), max_size=6), max_size=4)

Tree = dict[str, str | None]


def put(tree: Tree, path: str, what: str | None) -> None:
    """Set a path of a model: what it was or lay below it is gone, and what is above it are directories."""
    for old in [p for p in tree if p == path or p.startswith(f"{path}/")]:
        if old != path or what is not None or tree[old] is not None:
            del tree[old]
    parts = path.split("/")
    for end in range(1, len(parts)):
        above = "/".join(parts[:end])
        if tree.get(above) is not None:
            del tree[above]
        tree.setdefault(above, None)
    tree[path] = what


def written(layer: list[tuple[str, str]], directory: Path) -> None:
    """A layer on disk, in overlayfs's form: each path once, as it is last said."""
    for path, what in dict(layer).items():
        place = directory / path
        if any((directory / p).exists() and not (directory / p).is_dir() for p in above(path)) or os.path.lexists(
            place
        ):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if what == "dir":
            place.mkdir()
        elif what == "gone":
            mknod_whiteout(str(place), -100)
        else:
            place.write_text(what)


def above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def shown(tree: Path) -> Tree:
    return {str(p.relative_to(tree)): None if p.is_dir() else p.read_text() for p in sorted(tree.rglob("*"))}


def laid(layers: list[Path]) -> Tree:
    """The model of a stack, bottom first: each layer over what those below it show."""
    model: Tree = {}
    for layer in layers:
        for path in sorted(layer.rglob("*")):
            name = str(path.relative_to(layer))
            if path.is_dir():
                if model.get(name, "") is not None:
                    put(model, name, None)
                continue
            if path.is_char_device():
                for old in [p for p in model if p == name or p.startswith(f"{name}/")]:
                    del model[old]
            else:
                put(model, name, path.read_text())
    return model


def stack(layers: list[list[tuple[str, str]]], base: Path) -> list[Path]:
    paths = []
    for number, layer in enumerate([[], *layers]):
        path = base / f"layer{number}"
        path.mkdir()
        written(layer, path)
        paths.append(path)
    return paths


@settings(max_examples=60, deadline=None)
@given(LAYERS)
def test_a_stack_is_copied_as_its_layers_say_one_after_the_other(layers: list[list[tuple[str, str]]]) -> None:
    with TemporaryDirectory() as base:
        paths = stack(layers, Path(base))
        (Path(base) / "tree").mkdir()
        copy_stack([str(p) for p in reversed(paths)], f"{base}/tree")
        assert shown(Path(base) / "tree") == laid(paths)


@settings(max_examples=60, deadline=None)
@given(LAYERS, LAYERS)
def test_a_copy_tells_what_was_done_to_it(
    layers: list[list[tuple[str, str]]], work: list[list[tuple[str, str]]]
) -> None:
    with TemporaryDirectory() as base:
        paths = stack(layers, Path(base))
        lowers = [str(p) for p in reversed(paths)]
        tree = Path(base) / "tree"
        tree.mkdir()
        copy_stack(lowers, str(tree))
        set_form(str(tree), Form(copied=mount_time(base)))
        assert list(changes(str(tree), lowers)) == []
        before = shown(tree)
        for path, what in [step for layer in work for step in layer]:
            act(tree / path, what)
        after = shown(tree)
        told = {(entry.path, entry.kind) for entry, _ in changes(str(tree), lowers)}
        files = {path for path, content in after.items() if content is not None and before.get(path) != content}
        assert files <= {path for path, kind in told if kind is Kind.FILE}
        assert {path for path, kind in told if kind is Kind.WHITEOUT} <= before.keys() - after.keys()
        replayed = dict(before)
        for entry, source in changes(str(tree), lowers):
            match entry.kind:
                case Kind.WHITEOUT | Kind.OPAQUE:
                    for old in [p for p in replayed if p.startswith(f"{entry.path}/")]:
                        del replayed[old]
                    if entry.kind is Kind.WHITEOUT:
                        del replayed[entry.path]
                case Kind.DIRECTORY:
                    if replayed.get(entry.path, "") is not None:
                        put(replayed, entry.path, None)
                case _:
                    put(replayed, entry.path, Path(source).read_text())
        assert replayed == after


def act(place: Path, what: str) -> None:
    """Do it where it can be done, as a shell would."""
    if any(p.exists() and not p.is_dir() for p in place.parents):
        return
    if what == "gone":
        if place.is_dir():
            remove(place)
        else:
            place.unlink(missing_ok=True)
    elif what == "dir":
        if not place.exists():
            place.mkdir(parents=True)
    elif not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(what)


def remove(directory: Path) -> None:
    for path in directory.iterdir():
        remove(path) if path.is_dir() else path.unlink()
    directory.rmdir()


def test_a_directory_is_merged_until_something_hides_it(tmp_path: Path) -> None:
    top, middle, bottom = (tmp_path / name for name in ("top", "middle", "bottom"))
    for layer in (top, middle, bottom):
        (layer / "d").mkdir(parents=True)
        (layer / "d" / layer.name).touch()
    (middle / "d" / "middle").unlink()
    (middle / "d").rmdir()
    (middle / "d").touch()
    assert listing([str(top), str(middle), str(bottom)])["d"].lowers == [str(top / "d")]


def test_pairs_come_parents_first_and_in_byte_order(tmp_path: Path) -> None:
    for name in ("tree/b/c", "tree/a", "lower/b/a", "lower/z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [p.path for p in pairs(str(tmp_path / "tree"), [str(tmp_path / "lower")], 0)]
    assert found == ["a", "b", "b/c", "z"]
