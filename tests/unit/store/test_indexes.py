"""Indexes in the store: names that stand for an image of each of several platforms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, UsageError
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import UNKNOWN, Index, IndexEntry, Manifest
from builder.image.mediatypes import ATTESTATION, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, REFERENCE_DIGEST, REFERENCE_TYPE
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.points import HOOKS
from builder.store import rebuild
from builder.store.indexes import StoredIndex
from builder.store.open import Store
from builder.store.verify import image_problem, list_problem, name_findings
from tests.support.store import collected, image, layer

AMD64, ARM64, ARMV7 = (Platform.parse(text) for text in ("linux/amd64", "linux/arm64", "linux/arm/v7"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def made(store: Store, platform: Platform, content: bytes) -> tuple[Manifest, bytes]:
    """The manifest of an image of one layer, whose blobs are in the store."""
    below = layer(store, content)
    config = ImageConfig(platform, diff_ids=(below.diff_id,)).to_json()
    store.blobs.put_bytes(config)
    manifest = Manifest.of(config, [below])
    return manifest, manifest.to_json()


def entry(manifest: Manifest, data: bytes, platform: Platform | None) -> IndexEntry:
    return IndexEntry(Descriptor(manifest.media_type, Digest.of(data), len(data)), platform)


def index(
    store: Store,
    *platforms: Platform,
    name: str | None = "app",
    absent: Sequence[Platform] = (),
    more: Sequence[IndexEntry] = (),
) -> StoredIndex:
    """An index of images for `platforms`, and of such that are not here for those of `absent`."""
    here = [made(store, platform, str(platform).encode()) for platform in platforms]
    entries = [entry(*one, platform) for one, platform in zip(here, platforms, strict=True)]
    entries += [
        IndexEntry(Descriptor(OCI_MANIFEST, Digest.of(str(platform).encode()), 7), platform) for platform in absent
    ]
    data = Index((*entries, *more)).to_json()
    names = (Reference.parse(name),) if name else ()
    return store.images.add_index(Descriptor(OCI_INDEX, Digest.of(data), len(data)), data, names, here)


def platform_of(store: Store, text: str, platform: Platform | None = None) -> Platform:
    return store.images.config(store.images.find(text, platform)).platform


def test_a_name_gives_the_image_for_the_platform(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    added = index(store, ARMV7, AMD64, ARM64)
    for platform in (AMD64, ARM64, ARMV7):
        assert platform_of(store, "app", platform) == platform
        assert platform_of(store, f"app@{added.descriptor.digest}", platform) == platform
        assert platform_of(store, added.descriptor.digest.hex[:12], platform) == platform
    for own in (AMD64, ARM64):
        monkeypatch.setattr("builder.store.catalog.host", lambda own=own: own)
        assert platform_of(store, "app") == own
    monkeypatch.setattr("builder.store.catalog.host", lambda: Platform.parse("linux/s390x"))
    assert platform_of(store, "app") == ARMV7, "the first, where none is for this machine"
    with pytest.raises(NotFoundError, match="not in the store for linux/riscv64, but for linux/arm/v7, linux/amd64"):
        store.images.find("app", Platform.parse("riscv64"))


def test_an_index_is_what_its_name_and_its_digest_name(store: Store) -> None:
    added = index(store, AMD64, ARM64)
    assert added.names == ("app:latest",)
    for text in ("app", str(added.descriptor.digest), added.descriptor.digest.hex[:9], f"x@{added.descriptor.digest}"):
        assert store.images.index_of(text) == added
        assert store.images.named(text) == added
    alone = image(store, layer(store, b"alone"), name="alone")
    assert store.images.index_of("alone") is None
    assert store.images.named("alone") == alone
    assert store.images.index_of("nothing") is None
    store.images.tag(added, Reference.parse("again"))
    assert store.images.indexes()[0].names == ("again:latest", "app:latest")


def test_a_beginning_of_an_image_and_of_an_index_is_refused(store: Store) -> None:
    index(store, AMD64)
    store.db.execute("UPDATE images SET config = 'abcd' || substr(config, 5)")
    store.db.execute("UPDATE indexes SET digest = 'abcd' || substr(digest, 5)")
    with pytest.raises(UsageError, match="several"):
        store.images.find("abcd")


def test_what_is_partly_here_is_found_as_far_as_it_is(store: Store) -> None:
    added = index(store, ARM64, absent=(AMD64,))
    assert [(m.platform, m.image is not None) for m in store.images.members(added)] == [(ARM64, True), (AMD64, False)]
    assert store.images.lookup("app", AMD64) is None
    assert platform_of(store, "app", ARM64) == platform_of(store, "app") == ARM64
    assert collected(store).blobs == ()
    empty = index(store, name="empty", absent=(ARMV7,))
    assert store.images.lookup("empty") is None
    assert store.images.has(empty)
    with pytest.raises(NotFoundError, match="but for no platform"):
        store.images.find("empty")


def test_what_is_here_already_is_not_written_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    added = index(store, AMD64, ARM64)

    def commit() -> None:
        raise AssertionError("it waits for the disk")

    monkeypatch.setitem(HOOKS, "db:commit", commit)
    monkeypatch.setattr(store.layers, "add", lambda _: None)
    assert index(store, AMD64, ARM64) == added
    monkeypatch.undo()
    store.images.remove(store.images.find("app", ARM64))
    index(store, AMD64, ARM64)
    assert all(member.image is not None for member in store.images.members(added))


def test_no_index_is_what_does_not_hash_to_its_name_or_is_an_image(store: Store) -> None:
    manifest, data = made(store, AMD64, b"l")
    with pytest.raises(BadInputError):
        store.images.add_index(Descriptor(manifest.media_type, Digest.of(data), len(data)), data)
    right = Index((entry(manifest, data, AMD64),)).to_json()
    with pytest.raises(BadInputError):
        store.images.add_index(Descriptor(OCI_INDEX, Digest.of(b"other"), len(right)), right)
    assert store.images.indexes() == []
    assert store.images.all() == []


def test_a_collection_keeps_images_and_attestations_of_an_index_and_nothing_else(store: Store) -> None:
    statement, config = b'{"_type":"https://in-toto.io/Statement/v0.1"}', b"{}"
    data = Manifest(
        Descriptor(OCI_CONFIG, store.blobs.put_bytes(config), len(config)),
        (Descriptor("application/vnd.in-toto+json", store.blobs.put_bytes(statement), len(statement)),),
    ).to_json()
    manifest, image_data = made(store, AMD64, b"linux/amd64")
    notes = ((REFERENCE_TYPE, ATTESTATION), (REFERENCE_DIGEST, str(Digest.of(image_data))))
    attestation = Descriptor(OCI_MANIFEST, store.blobs.put_bytes(data), len(data), notes)
    added = index(store, AMD64, more=[IndexEntry(attestation, Platform(UNKNOWN, UNKNOWN))])
    assert [m.manifest.digest for m in store.images.members(added)] == [Digest.of(image_data)]
    stray = store.blobs.put_bytes(b"stray")
    assert collected(store).blobs == (stray,)
    for digest in (*(b.digest for b in manifest.layers), attestation.digest, Digest.of(statement), Digest.of(config)):
        assert store.blobs.has(digest)
    store.images.remove(added)
    collected(store)
    assert list(store.blobs.all()) == []


def test_with_an_index_go_the_images_that_only_it_has(store: Store) -> None:
    first = index(store, AMD64, ARM64, name="first")
    second = index(store, ARM64, ARMV7, name="second")
    named = store.images.find("first", AMD64)
    store.images.tag(named, Reference.parse("alone"))
    assert [store.images.config(i).platform for i in store.images.only_in(second)] == [ARMV7]
    store.images.remove(first)
    assert {store.images.config(i).platform for i in store.images.all()} == {AMD64, ARM64, ARMV7}
    store.images.remove(second)
    assert [i.names for i in store.images.all()] == [("alone:latest",)]
    assert store.images.index_of("first") is None
    collected(store)
    assert store.blobs.holds(store.images.manifest(named).layers[0])


def test_an_image_that_is_removed_leaves_its_index(store: Store) -> None:
    added = index(store, AMD64, ARM64)
    store.images.remove(store.images.find("app", ARM64))
    assert [m.image is not None for m in store.images.members(added)] == [True, False]
    assert list_problem(store, added) == ""


def test_what_is_in_an_index_does_not_dangle(store: Store) -> None:
    old = index(store, AMD64, ARM64)
    nameless = image(store, layer(store, b"nameless"))
    assert list(store.images.dangling(())) == [nameless]
    new = index(store, ARM64, ARMV7)
    assert list(store.images.dangling(())) == [replace(old, names=()), nameless]
    users = (str(store.images.find(str(old.descriptor.digest), AMD64).config),)
    assert list(store.images.dangling(users)) == [nameless]
    assert next(store.images.dangling((), named=True)) in (replace(old, names=()), new)


def test_names_of_indexes_with_their_platform_are_what_images_are_called(store: Store) -> None:
    index(store, AMD64, ARM64)
    arm = store.images.find("app", ARM64)
    store.images.tag(arm, Reference.parse("own"))
    arm = store.images.find("own")
    assert store.images.called(arm) == ("own:latest", "app:latest (linux/arm64)")


def test_index_json_has_the_index_by_its_name_and_not_its_images(store: Store) -> None:
    added = index(store, AMD64, ARM64)
    alone = image(store, layer(store, b"alone"))
    index(store, ARMV7, name=None)
    listed = json.loads((store.root / "index.json").read_text())["manifests"]
    assert {m["mediaType"] for m in listed if "annotations" in m} == {OCI_INDEX}
    assert len(listed) == 3
    named = {m["annotations"]["org.opencontainers.image.ref.name"]: m["digest"] for m in listed if "annotations" in m}
    assert named == {"app:latest": str(added.descriptor.digest)}
    assert str(alone.manifest.digest) in {m["digest"] for m in listed}


def test_a_database_made_anew_has_its_indexes(store: Store) -> None:
    added = index(store, AMD64, ARM64, absent=(ARMV7,))
    image(store, layer(store, b"alone"), name="alone")
    documents = rebuild.documents_of(store.root)
    layers = store.layers.all()
    before = {(i.manifest, i.names) for i in store.images.all()}
    store.close()
    rebuild.rebuild(store.root, documents, layers, [])
    again = Store.open(store.root)
    assert {(i.manifest, i.names) for i in again.images.all()} == before
    assert [(i.descriptor, i.names) for i in again.images.indexes()] == [(added.descriptor, added.names)]
    known = {one.diff_id: one for one in layers}
    assert [image_problem(again, i, known) for i in again.images.all()] == ["", "", ""]
    (again.root / "index.json").write_text("damaged")
    found = rebuild.documents_of(again.root)
    assert sorted(type(each).__name__ for each in found) == ["FoundImage"] * 3 + ["FoundIndex"]


def test_a_damaged_index_is_told_of(store: Store) -> None:
    added = index(store, AMD64)
    assert list(name_findings(store)) == []
    Path(store.blobs.path(added.descriptor.digest)).write_bytes(b"{}")
    assert "2 bytes" in list_problem(store, added)
    with pytest.raises(BadInputError):
        store.images.find("app")
    assert store.images.only_in(added) == []
    store.db.execute("DELETE FROM indexes")
    assert [finding.name for finding in name_findings(store)] == ["docker.io/library/app:latest"]


def test_images_need_no_platform_in_an_index_to_go_when_they_are_removed(store: Store) -> None:
    """What is no image stays with it: what an artifact is of is known by its config alone."""
    one, artifact = made(store, AMD64, b"one"), made(store, AMD64, b"artifact")
    other = replace(artifact[0], config=replace(artifact[0].config, media_type="application/vnd.example.config"))
    store.blobs.put_bytes(other.to_json())
    data = Index((entry(*one, None), entry(other, other.to_json(), None))).to_json()
    kept = store.images.add_index(
        Descriptor(OCI_INDEX, Digest.of(data), len(data)), data, (Reference.parse("app"),), [one]
    )
    needed = {kept.descriptor.digest, Digest.of(other.to_json()), other.config.digest, other.layers[0].digest}
    collected(store)
    assert {digest for digest, _ in store.blobs.all()} > needed
    store.images.remove(store.images.find("app"))
    collected(store)
    assert {digest for digest, _ in store.blobs.all()} == needed
