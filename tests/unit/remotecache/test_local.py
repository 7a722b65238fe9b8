from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, PybuildError, UsageError
from builder.image.descriptor import Descriptor
from builder.image.mediatypes import OCI_INDEX, OCI_MANIFEST
from builder.points import HOOKS
from builder.remotecache import document, entries
from builder.remotecache.document import ENTRIES, Contents, Shard, to_json
from builder.remotecache.entries import Said
from builder.remotecache.local import Directory


def put(place: Directory, data: bytes) -> Descriptor:
    blob = Descriptor("", Digest.of(data), len(data))
    place.put(blob, lambda: nullcontext(io.BytesIO(data)))
    return blob


def filled(place: Directory, word: str) -> bytes:
    """An index of one shard, all of it put."""
    data = entries.encoded({Digest.of(b"x"): Said(1, word)})
    put(place, data)
    put(place, document.EMPTY)
    manifest = document.shard_manifest(Descriptor(ENTRIES, Digest.of(data), len(data)), {})
    place.put_manifest(manifest, OCI_MANIFEST)
    part = Descriptor(OCI_MANIFEST, Digest.of(manifest), len(manifest))
    return to_json(Contents(0, {0: Shard(part, Descriptor(ENTRIES, Digest.of(data), len(data)))}))


def blobs(path: Path) -> set[str]:
    return {p.name for p in (path / "blobs/sha256").iterdir()}


def test_a_tag_is_moved_only_from_what_it_stood_for(tmp_path: Path) -> None:
    place = Directory(str(tmp_path / "c"), "latest", write=True)
    assert place.read() is None
    first = filled(place, "one")
    assert place.point(first, OCI_INDEX, None)
    assert place.read() == (first, OCI_INDEX)
    second = filled(place, "two")
    assert not place.point(second, OCI_INDEX, None)
    assert place.read() == (first, OCI_INDEX)
    assert place.point(second, OCI_INDEX, Digest.of(first))
    assert place.point(first, OCI_INDEX, None, force=True)
    assert place.read() == (first, OCI_INDEX)


def test_tags_are_caches_of_their_own_and_what_none_names_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "c"
    main = Directory(str(path), "main", write=True)
    assert main.point(filled(main, "one"), OCI_INDEX, None)
    other = Directory(str(path), "other", write=True)
    assert other.point(filled(other, "two"), OCI_INDEX, None)
    put(other, b"of no use")
    before = blobs(path)
    main.close()
    assert blobs(path) == before, "another still writes"
    (path / "blobs/sha256/left.tmp").touch()
    other.close()
    assert blobs(path) == before - {Digest.of(b"of no use").hex}
    names = msgspec.json.decode((path / "index.json").read_bytes())["manifests"]
    assert sorted(n["annotations"]["org.opencontainers.image.ref.name"] for n in names) == ["main", "other"]


def test_nothing_of_others_is_removed(tmp_path: Path) -> None:
    place = Directory(str(tmp_path), "latest", write=True)
    assert place.point(filled(place, "one"), OCI_INDEX, None)
    image = msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []})
    assert Directory(str(tmp_path), "image", write=True).point(image, OCI_MANIFEST, None)
    kept = put(place, b"who knows")
    place.close()
    assert kept.digest.hex in blobs(tmp_path)


def test_a_reader_keeps_what_it_reads(tmp_path: Path) -> None:
    writer = Directory(str(tmp_path), "latest", write=True)
    old = filled(writer, "one")
    assert writer.point(old, OCI_INDEX, None)
    reader = Directory(str(tmp_path), "latest", write=False)
    assert writer.point(filled(writer, "two"), OCI_INDEX, Digest.of(old))
    writer.close()
    assert reader.manifest(Digest.of(old)) == old
    reader.close()
    Directory(str(tmp_path), "latest", write=True).close()
    assert Digest.of(old).hex not in blobs(tmp_path)


def test_a_blob_is_checked_as_it_is_read(tmp_path: Path) -> None:
    place = Directory(str(tmp_path), "latest", write=True)
    blob = put(place, b"content")
    with place.blob(blob) as reader:
        assert reader.read() == b"content"
    (tmp_path / "blobs/sha256" / blob.digest.hex).write_bytes(b"CONTENT")
    with pytest.raises(BadInputError, match="damaged"), place.blob(blob) as reader:
        reader.read()
    with pytest.raises(BadInputError, match="damaged"):
        place.manifest(blob.digest)
    put(place, b"content")
    with place.blob(blob) as reader:
        assert reader.read() == b"content"
    with pytest.raises(NotFoundError), place.blob(Descriptor("", Digest.of(b"other"), 1)):
        pass
    (tmp_path / "blobs/sha256" / blob.digest.hex).write_bytes(b"cut")
    assert not place.has(blob)
    put(place, b"content")
    assert place.has(blob)


@pytest.mark.parametrize(
    "spoil", [lambda p: (p / "index.json").write_text("<html>"), lambda p: (p / "index.json").mkdir()]
)
def test_a_damaged_index_is_told(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    spoil(tmp_path)
    with pytest.raises(PybuildError):
        Directory(str(tmp_path), "latest", write=False).read()


def test_a_directory_of_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(UsageError, match="no image layout"):
        Directory(str(tmp_path), "latest", write=True)
    (tmp_path / "oci-layout").touch()
    (tmp_path / "pybuild.db").touch()
    with pytest.raises(UsageError, match="is a store"):
        Directory(str(tmp_path), "latest", write=True)
    with pytest.raises(PybuildError, match="cannot write"):
        Directory(str(tmp_path / "photo.jpg" / "x"), "latest", write=True)


def test_what_is_not_there_is_an_empty_cache(tmp_path: Path) -> None:
    place = Directory(str(tmp_path / "nothing"), "latest", write=False)
    assert place.read() is None
    place.close()
    assert not (tmp_path / "nothing").exists()


def test_a_crash_leaves_the_old_cache(tmp_path: Path) -> None:
    place = Directory(str(tmp_path), "latest", write=True)
    old = filled(place, "one")
    assert place.point(old, OCI_INDEX, None)

    def crash() -> None:
        raise KeyboardInterrupt

    HOOKS["cache:pointing"] = crash
    try:
        with pytest.raises(KeyboardInterrupt):
            place.point(filled(place, "two"), OCI_INDEX, Digest.of(old))
    finally:
        del HOOKS["cache:pointing"]
    assert place.read() == (old, OCI_INDEX)
    assert not [p for p in os.listdir(tmp_path) if p.endswith(".tmp")]


def test_one_that_another_is_just_making_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not empty then, and not a layout yet."""
    path = tmp_path / "c"
    second: list[Directory] = []
    thread = threading.Thread(target=lambda: second.append(Directory(str(path), "two", write=True)))

    def meanwhile() -> None:
        HOOKS.pop("file:written")
        thread.start()
        thread.join(0.2)
        assert not second

    monkeypatch.setitem(HOOKS, "file:written", meanwhile)
    first = Directory(str(path), "one", write=True)
    thread.join(30)
    for place in (first, *second):
        place.close()
    assert len(second) == 1
