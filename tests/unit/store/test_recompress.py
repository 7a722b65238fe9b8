"""Layers in other compressions: the same bytes each time, made once, whoever asks; kept until room is wanted."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from builder import points
from builder.digest import Digest
from builder.errors import BadInputError, CanceledError, UsageError
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from builder.layers import compress
from builder.layers.compress import Form
from builder.store.open import Store
from builder.store.recompress import compressed
from tests.support.store import collected, image

TAR = b"".join(str(n * n).encode() for n in range(150_000))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "store")
    with opened.leases.working():
        yield opened


def packed(store: Store, data: bytes = TAR) -> Layer:
    digest, size = store.blobs.put(io.BytesIO(zstandard.compress(data)))
    made = Layer(Digest.of(data), Digest.of(b"content" + data), len(data), Descriptor(OCI_LAYER_ZSTD, digest, size))
    store.layers.add(made)
    return made


def test_a_layer_is_the_same_tar_in_every_form(store: Store) -> None:
    layer = packed(store)
    made = {form: compressed(store, layer, form) for form in map(Form, ("gzip", "uncompressed", "zstd"))}
    assert [blob.media_type for blob in made.values()] == [OCI_LAYER_GZIP, OCI_LAYER, OCI_LAYER_ZSTD]
    assert gzip.decompress(store.blobs.read(made[Form("gzip")])) == TAR
    assert store.blobs.read(made[Form("uncompressed")]) == TAR
    assert made[Form("zstd")] == layer.blob


def test_a_level_is_another_blob(store: Store) -> None:
    layer = packed(store, TAR[:200_000])
    best = compressed(store, layer, Form("zstd", 19))
    assert best.size < layer.blob.size
    assert zstandard.ZstdDecompressor().decompressobj().decompress(store.blobs.read(best)) == TAR[:200_000]
    small, fast = (compressed(store, layer, Form("gzip", level)) for level in (9, 1))
    assert small.size < fast.size
    assert zlib.decompress(store.blobs.read(small), 31) == TAR[:200_000]


def test_a_blob_is_made_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = packed(store)
    first = compressed(store, layer, Form("gzip"))
    monkeypatch.setattr(compress, "writer", None)
    assert compressed(store, layer, Form("gzip")) == first
    assert compressed(store, layer, Form("gzip", 2)) == first  # the level we choose


def test_it_is_remembered_when_its_blob_is_gone_and_made_again(store: Store) -> None:
    layer = packed(store)
    first = compressed(store, layer, Form("gzip"))
    Path(store.blobs.path(first.digest)).unlink()
    assert store.compressed.get(layer.diff_id, Form("gzip")) == first
    assert compressed(store, layer, Form("gzip")) == first
    assert store.blobs.holds(first)


def _make(root: Path, ready: multiprocessing.synchronize.Barrier, layer: Layer, made: object) -> None:
    store = Store.open(root)
    count = 0

    def written() -> None:
        nonlocal count
        count += 1

    points.HOOKS["compressed:written"] = written
    ready.wait()
    with store.leases.working():
        digest = compressed(store, layer, Form("gzip")).digest
    made.put((digest, count))  # type: ignore[attr-defined]


def test_of_two_processes_one_makes_it(store: Store) -> None:
    layer = packed(store)
    spawn = multiprocessing.get_context("fork")
    ready, made = spawn.Barrier(2), spawn.Queue()
    both = [spawn.Process(target=_make, args=(store.root, ready, layer, made)) for _ in range(2)]
    for process in both:
        process.start()
    found = [made.get(timeout=60) for _ in both]
    for process in both:
        process.join()
    assert found[0][0] == found[1][0]
    assert sorted(count for _, count in found) == [0, 1]


def test_collection_keeps_it_with_its_layer_until_it_is_released(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    with store.leases.working():
        layer, other = packed(store), packed(store, b"other" * 1000)
        kept, gone = compressed(store, layer, Form("gzip")), compressed(store, other, Form("gzip"))
        image(store, layer, name="app")
    collected(store)
    assert store.blobs.holds(kept)
    assert not store.blobs.has(gone.digest)
    assert store.compressed.get(other.diff_id, Form("gzip")) is None
    assert store.compressed.bytes() == kept.size
    store.compressed.release()
    assert store.compressed.bytes() == 0
    collected(store)
    assert not store.blobs.has(kept.digest)
    assert store.compressed.get(layer.diff_id, Form("gzip")) == kept


def test_who_wants_it_again_keeps_it(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store")
    with store.leases.working():
        layer = packed(store)
        image(store, layer, name="app")
        made = compressed(store, layer, Form("gzip"))
        store.compressed.release()
        compressed(store, layer, Form("gzip"))
    collected(store)
    assert store.blobs.holds(made)


def test_a_damaged_layer_gives_no_blob(store: Store) -> None:
    layer = packed(store)
    path = Path(store.blobs.path(layer.blob.digest))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(BadInputError):
        compressed(store, layer, Form("gzip"))
    assert store.compressed.get(layer.diff_id, Form("gzip")) is None
    assert list((store.root / "tmp").iterdir()) == []


def test_who_waits_for_another_can_be_canceled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, form = packed(store), Form("gzip")
    monkeypatch.setitem(points.HOOKS, "compressed:written", lambda: _again(store, layer, form))
    with pytest.raises(CanceledError):
        compressed(store, layer, form)
    assert list((store.root / "tmp").iterdir()) == []


def _again(store: Store, layer: Layer, form: Form) -> None:
    compressed(store, layer, form, lambda: True)


@pytest.mark.parametrize("form", [Form("gzip"), Form("gzip", 1), Form("gzip", 3), Form("zstd")])
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, len(TAR) - 1), max_size=6))
def test_how_a_layer_is_cut_does_not_matter(form: Form, cuts: list[int]) -> None:
    def made(at: list[int]) -> bytes:
        out = io.BytesIO()
        writer = compress.writer(form.compression, out, form.level)
        for begin, end in zip([0, *at], [*at, len(TAR)], strict=True):
            writer.write(TAR[begin:end])
        writer.finish()
        return out.getvalue()

    assert made(sorted(cuts)) == made([])


@pytest.mark.parametrize(
    ("compression", "level"),
    [
        ("gzip", "10"),
        ("gzip", "0"),
        ("gzip", "-1"),
        ("zstd", "23"),
        ("zstd", "x"),
        ("uncompressed", "1"),
        ("lzma", "1"),
    ],
)
def test_forms_there_are_not(compression: str, level: str) -> None:
    with pytest.raises(UsageError):
        Form.parse(compression, level)


def test_forms() -> None:
    assert Form.parse("gzip") == Form("gzip")
    assert Form.parse("zstd", "22") == Form("zstd", 22)
    assert str(Form("gzip")) == "gzip 2"
