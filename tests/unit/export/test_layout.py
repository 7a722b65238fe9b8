"""Layouts as they are written: the same bytes by however many threads, whole or not at all."""

from __future__ import annotations

import io
import os
import random
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, PybuildError
from builder.export import base, layout
from builder.export.base import Export, ExportImage
from builder.export.docker import export_docker
from builder.export.oci import export_oci
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Manifest
from builder.image.mediatypes import OCI_LAYER_ZSTD
from builder.image.platform import Platform
from builder.layers import compress
from builder.layers.compress import Form
from builder.store.open import Store
from builder.store.recompress import compressed
from tests.support.waiting import wait_for

SIZES = (10, 300_000, 3_000_000, 0, 700_000, 300_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "store")
    with opened.leases.working():
        yield opened
    wait_for(lambda: threading.active_count() == 1)  # who is told to stop ends the piece it has begun


def packed(store: Store, data: bytes) -> Layer:
    out = io.BytesIO()
    writer = compress.writer("zstd", out)
    writer.write(data)
    writer.finish()
    digest, size = store.blobs.put(io.BytesIO(out.getvalue()))
    made = Layer(Digest.of(data), Digest.of(b"content" + data), len(data), Descriptor(OCI_LAYER_ZSTD, digest, size))
    store.layers.add(made)
    return made


def exported(store: Store) -> Export:
    chance = random.Random(1)
    layers = [packed(store, (chance.randbytes(size // 2).hex() + "." * (size % 2)).encode()) for size in SIZES]
    platform = Platform.parse("linux/amd64")
    config = ImageConfig(platform, diff_ids=tuple(layer.diff_id for layer in layers)).to_json()
    manifest = Manifest.of(config, layers)

    def launcher() -> Any:
        raise AssertionError("an archive of layers needs no launcher")

    return Export((ExportImage(manifest, config, tuple(layers)),), store, launcher)


FORMS: dict[str, dict[str, str]] = {
    "as they are": {},
    "gzip": {"compression": "gzip"},
    "zstd": {"compression": "zstd", "compression-level": "1"},
    "plain": {"compression": "uncompressed"},
}
# What of that is kept in the store.
KEPT: dict[str, set[str]] = {"as they are": set(), "gzip": {"gzip"}, "zstd": {"zstd"}, "plain": set()}


@pytest.mark.parametrize("form", FORMS)
def test_however_many_threads_there_are_the_bytes_are_the_same(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    export, made = exported(store), set()
    for threads in (1, 2, 5):
        monkeypatch.setattr(layout.os, "sched_getaffinity", lambda _, n=threads: set(range(n)))
        store.db.execute("DELETE FROM compressed")
        path = tmp_path / f"{threads}.tar"
        export_oci(export, str(path), FORMS[form])
        made.add(path.read_bytes())
    assert len(made) == 1
    assert {form for (form,) in store.db.rows("SELECT compression FROM compressed")} == KEPT[form]
    with tarfile.open(fileobj=io.BytesIO(made.pop())) as archive:
        for member in archive.getmembers():
            if member.name.startswith("blobs/"):
                file = archive.extractfile(member)
                assert file is not None
                assert Digest.of(file.read()).hex == member.name.rpartition("/")[2]


def test_a_tar_that_is_in_the_store_is_taken_as_it_is(store: Store, tmp_path: Path) -> None:
    export = exported(store)
    export_docker(export, str(tmp_path / "decompressed"), {})
    for layer in export.images[0].layers:
        compressed(store, layer, Form("uncompressed"))
    export_docker(export, str(tmp_path / "stored"), {})
    assert (tmp_path / "stored").read_bytes() == (tmp_path / "decompressed").read_bytes()


@pytest.mark.parametrize("wrong", [{"size": 299_999}, {"size": 300_001}, {"diff_id": Digest.of(b"other")}])
def test_a_layer_that_is_not_what_it_is_said_to_be_is_not_written(
    store: Store, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    export = exported(store)
    (image,) = export.images
    layers = (image.layers[0], replace(image.layers[1], **wrong), *image.layers[2:])
    with pytest.raises(BadInputError, match=r"declared|damaged"):
        export_docker(replace(export, images=(replace(image, layers=layers),)), str(tmp_path / "image.tar"), {})
    assert os.listdir(tmp_path) == ["store"]


def test_a_pipe_gets_what_a_file_gets(store: Store, tmp_path: Path) -> None:
    export, pipe, read = exported(store), tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    export_oci(export, str(pipe), {})
    reader.join()
    export_oci(export, str(tmp_path / "file"), {})
    assert read == [(tmp_path / "file").read_bytes()]


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}], ids=["copied", "compressed"])
@pytest.mark.parametrize("write", [export_oci, export_docker])
def test_a_damaged_blob_is_found_and_nothing_is_written(
    store: Store, tmp_path: Path, write: Any, options: dict[str, str]
) -> None:
    export = exported(store)
    blob = Path(store.blobs.path(export.images[0].layers[2].blob.digest))
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    (tmp_path / "image.tar").write_bytes(b"old")
    with pytest.raises(BadInputError, match="damaged"):
        write(export, str(tmp_path / "image.tar"), options)
    assert (tmp_path / "image.tar").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["image.tar", "store"]


def test_a_disk_that_is_full_is_told_of_whichever_thread_writes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes) -> None:
        written.append(len(data))
        if len(written) > 5:
            raise OSError(28, "No space left on device")

    written: list[int] = []
    monkeypatch.setattr(base, "write_all", full)
    with pytest.raises(PybuildError, match=r"cannot write .*image\.tar: No space left"):
        export_oci(exported(store), str(tmp_path / "image.tar"), {})
    assert os.listdir(tmp_path) == ["store"]
