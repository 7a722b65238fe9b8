"""An answer holds exactly as long as nothing it needs has changed, whatever else does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.digest import Digest
from builder.image.reference import Reference
from builder.linux.files import remove_tree
from builder.store import answers
from builder.store.answers import DIRECTORY, KEPT, Answer, Needs, content, hashed
from builder.store.db import VERSION
from builder.store.open import Store
from tests.support.store import image, layer, record

NEEDED, OTHER = 3, 3


@dataclass
class Place:
    """A store with objects, of which the first NEEDED are those of a build, and files."""

    store: Store
    files: Path

    def __post_init__(self) -> None:
        self.layers = [layer(self.store, f"layer {n}".encode()) for n in range(NEEDED + OTHER)]
        self.records = [record(made, f"key {n}".encode()) for n, made in enumerate(self.layers)]
        for made in self.records:
            self.store.records.add(made)
        self.images = [image(self.store, made, name=f"app{n}") for n, made in enumerate(self.layers)]
        self.store.db.execute_many("INSERT INTO memo VALUES ('created', ?, ?)", [(str(n), b"1.5") for n in range(6)])
        for n in range(NEEDED + OTHER):
            (self.files / f"{n}").write_text(f"file {n}")

    def ask(self) -> Answer | None:
        try:
            answer = answers.given(str(self.store.root), b"asked", lambda proofs: False)
        except OSError:
            return None
        if answer is not None and answer.connection is not None:
            answer.connection.close()
        return answer

    def remember(self) -> None:
        rows: set[tuple[object, ...]] = {("schema", "", VERSION, 0)}
        blobs: dict[str, int] = {}
        for n in range(NEEDED):
            made, kept, known = self.layers[n], self.records[n], self.images[n]
            rows.add(("layer", made.diff_id.hex, made.blob.digest.hex, made.blob.size))
            rows.add(("record", kept.key.hex, kept.diff_id.hex, kept.created))
            rows.add(("image", known.manifest.digest.hex, known.config.hex, known.manifest.size))
            rows.add(("name", str(Reference.parse(f"app{n}").tagged()), known.manifest.digest.hex, 0))
            rows.add(("time", str(n), b"1.5", 0))
            blobs |= {made.blob.digest.hex: made.blob.size, known.manifest.digest.hex: known.manifest.size}
        tables = {"record": "records", "layer": "layers", "image": "images", "name": "names", "time": "times"}
        names = {table: [row[1] for row in rows if row[0] == kind] for kind, table in tables.items()}
        paths = [os.fsencode(self.files / name) for name in ("0", "1", "2", "absent", ".")]
        contents = [*(hashed(f"file {n}".encode()) for n in range(NEEDED)), None, DIRECTORY]
        needs = Needs(b"\0".join(paths), msgspec.json.encode(names).decode(), " ".join(blobs))
        state = answers.state(str(self.store.root), list(rows), list(blobs.values()), contents)
        self.store.answers.keep(b"asked", needs, state, Answer("shown", "said"))


def execute(sql: str) -> Callable[[Place, int], object]:
    def change(place: Place, n: int) -> object:
        key, made = place.records[n].key.hex, place.layers[n]
        values = {"key": key, "layer": made.diff_id.hex, "image": place.images[n].manifest.digest.hex, "n": str(n)}
        name = str(Reference.parse(f"app{n}").tagged())
        values |= {"name": name, "other": Digest.of(b"other").hex}
        return place.store.db.execute(sql.format(**{word: f"'{value}'" for word, value in values.items()}))

    return change


def blob_path(place: Place, n: int) -> str:
    return place.store.blobs.path(place.layers[n].blob.digest)


# Each changes the object of a number.
CHANGES: dict[str, Callable[[Place, int], object]] = {
    "record gone": lambda p, n: p.store.records.forget([p.records[n].key]),
    "record younger": execute("UPDATE records SET created = created + 0.25 WHERE key = {key}"),
    "record of another layer": execute("UPDATE records SET diff_id = {other} WHERE key = {key}"),
    "layer gone": lambda p, n: p.store.layers.forget([p.layers[n].diff_id]),
    "layer in another blob": execute("UPDATE layers SET blob = {other} WHERE diff_id = {layer}"),
    "image gone": execute("DELETE FROM images WHERE manifest = {image}"),
    "name gone": execute("DELETE FROM refs WHERE name = {name}"),
    "name of another image": execute("UPDATE refs SET manifest = {other} WHERE name = {name}"),
    "time gone": execute("DELETE FROM memo WHERE kind = 'created' AND key = {n}"),
    "blob gone": lambda p, n: os.unlink(blob_path(p, n)),
    "blob cut off": lambda p, n: os.truncate(blob_path(p, n), 1),
    "file gone": lambda p, n: (p.files / f"{n}").unlink(),
    "file of other content": lambda p, n: (p.files / f"{n}").write_text("FILE 0"),
    "file a directory": lambda p, n: ((p.files / f"{n}").unlink(), (p.files / f"{n}").mkdir()),
    "file a pipe": lambda p, n: ((p.files / f"{n}").unlink(), os.mkfifo(p.files / f"{n}")),
}
# And these nothing that counts, whatever the number.
HARMLESS: dict[str, Callable[[Place, int], object]] = {
    "record used": lambda p, n: p.store.records.touch([p.records[n].key]),
    "record explained": execute("UPDATE records SET seconds = 9, name = 'x', line = 7 WHERE key = {key}"),
    "file touched": lambda p, n: os.utime(p.files / f"{n}", (n, n)),
    "image named once more": lambda p, n: p.store.images.tag(p.images[n], Reference.parse(f"more{n}")),
    "another file": lambda p, n: (p.files / f"more{n}").write_text(""),
}


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(HARMLESS)), st.integers(0, NEEDED + OTHER - 1)), max_size=3),
    st.none() | st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, NEEDED + OTHER - 1)),
)
def test_an_answer_holds_while_nothing_it_needs_changes(
    harmless: list[tuple[str, int]], change: tuple[str, int] | None
) -> None:
    directory = tempfile.mkdtemp()
    try:
        store = Store.open(Path(directory) / "store")
        (Path(directory) / "files").mkdir()
        place = Place(store, Path(directory) / "files")
        assert place.ask() is None
        place.remember()
        assert place.ask() is not None
        for name, number in harmless:
            HARMLESS[name](place, number)
        if change is not None:
            CHANGES[change[0]](place, change[1])
        answer = place.ask()
        assert (answer is not None) == (change is None or change[1] >= NEEDED)
        store.close()
    finally:
        remove_tree(directory)


def test_the_answers_used_last_are_kept(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    needs = Needs(b"", "{}", "")
    for n in range(KEPT + 5):
        store.answers.keep(b"%d" % n, needs, b"", Answer("", ""))
    assert store.db.row("SELECT count(*) FROM answers") == (KEPT,)
    assert store.db.row("SELECT count(*) FROM answers WHERE asked = ?", (b"4",)) == (0,)


def test_what_is_no_file_has_no_content(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no file"):
        content(os.fsencode(tmp_path / "pipe"))
    assert content(os.fsencode(tmp_path / "nothing")) is None
    assert content(os.fsencode(tmp_path / "pipe/nothing")) is None
