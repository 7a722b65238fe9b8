"""What images say of themselves is remembered, and is never taken for what it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.store import images
from builder.store.imagefacts import ImageFacts, every_layer
from builder.store.open import Store
from tests.support.store import collected, image, layer

digests = st.lists(st.binary(max_size=3).map(Digest.of), max_size=6)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


def rows(store: Store) -> list[tuple[str, bytes]]:
    return [(manifest, value) for manifest, value in store.db.rows("SELECT * FROM image_facts ORDER BY manifest")]


@given(st.lists(st.tuples(digests, digests), max_size=4))
def test_layers_are_those_that_were_given(given: list[tuple[list[Digest], list[Digest]]]) -> None:
    facts = [ImageFacts.of(None, "linux/amd64", stack, blobs) for stack, blobs in given]
    assert [(each.diff_ids, each.blobs) for each in facts] == [(tuple(stack), tuple(blobs)) for stack, blobs in given]
    assert every_layer(facts) == ({d for stack, _ in given for d in stack}, {d for _, blobs in given for d in blobs})


def test_documents_are_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    below, above = layer(store, b"below"), layer(store, b"above")
    made = [image(store, below, label="1"), image(store, below, above, below, label="2")]
    first = store.images.facts(made)
    assert [first[one.manifest.digest] for one in made] == [store.images.read_facts(one) for one in made]
    assert first[made[1].manifest.digest].diff_ids == (below.diff_id, above.diff_id, below.diff_id)
    monkeypatch.setattr(images.Images, "read_facts", lambda self, one: pytest.fail("read again"))
    assert store.images.facts(made) == first
    assert Store.open(store.root).images.facts(made) == first


def test_wrong_facts_are_read_again_and_let_nothing_go(store: Store) -> None:
    """Whichever bit of a row is wrong, the layers of its image stay."""
    made = image(store, layer(store, b"x"), name="app")
    right = store.images.facts([made])
    ((manifest, value),) = rows(store)
    for at in range(0, len(value) * 8, 7):
        damaged = bytearray(value)
        damaged[at // 8] ^= 1 << at % 8
        store.db.execute("UPDATE image_facts SET value = ?", (bytes(damaged),))
        assert store.images.facts([made]) == right
        assert rows(store) == [(manifest, value)]
    other = image(store, layer(store, b"y"), name="other")
    store.db.execute("UPDATE image_facts SET manifest = ?", (other.manifest.digest.hex,))
    assert store.images.facts([made, other]) == {**right, other.manifest.digest: store.images.read_facts(other)}
    collected(store)
    assert all(store.blobs.holds(each.blob) for each in store.layers.all())
    assert len(store.layers.all()) == 2


def test_a_damaged_image_has_none_and_its_layers_blobs_stay(store: Store) -> None:
    whole, damaged, lost = (image(store, layer(store, name), name=name.decode()) for name in (b"a", b"b", b"c"))
    Path(store.blobs.path(damaged.config)).write_bytes(b"{}")
    Path(store.blobs.path(lost.manifest.digest)).unlink()
    assert set(store.images.facts([whole, damaged, lost])) == {whole.manifest.digest}
    kept = [blob.digest for blob in store.images.manifest(damaged).layers]
    collected(store)
    assert all(store.blobs.has(digest) for digest in kept)


def test_facts_go_with_their_image(store: Store) -> None:
    stays, goes = image(store, layer(store, b"x"), name="a"), image(store, layer(store, b"y"), name="b")
    store.images.facts([stays, goes])
    store.images.remove(goes)
    collected(store)
    assert [manifest for manifest, _ in rows(store)] == [stays.manifest.digest.hex]
