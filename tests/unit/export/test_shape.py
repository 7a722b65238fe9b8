"""The form images take outside: which layers are brought into which, and what stays as it came."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from builder.digest import Digest
from builder.export.base import ExportImage
from builder.export.shape import Shape, described, shaped
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Manifest
from builder.image.mediatypes import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
)
from builder.image.platform import Platform
from builder.layers.compress import Form
from builder.store.open import Store

ZSTD, GZIP, PLAIN = (
    Descriptor(kind, Digest.of(kind.encode()), 10) for kind in (OCI_LAYER_ZSTD, OCI_LAYER_GZIP, OCI_LAYER)
)


@pytest.mark.parametrize(
    ("shape", "blob", "expected"),
    [
        (Shape(), ZSTD, None),
        (Shape(Form("gzip")), ZSTD, Form("gzip")),
        (Shape(Form("gzip")), PLAIN, Form("gzip")),
        (Shape(Form("gzip")), GZIP, None),
        (Shape(Form("gzip", 9)), GZIP, Form("gzip", 9)),
        (Shape(Form("gzip", 9), kept=frozenset({GZIP.digest})), GZIP, None),
        (Shape(Form("gzip"), kept=frozenset({ZSTD.digest})), ZSTD, None),
        (Shape(Form("gzip"), kept=frozenset({GZIP.digest})), ZSTD, Form("gzip")),
        (Shape(oci=False), ZSTD, Form("gzip")),  # Docker's media types have no zstd
        (Shape(oci=False, kept=frozenset({ZSTD.digest})), ZSTD, Form("gzip")),
        (Shape(oci=False), GZIP, None),
    ],
)
def test_the_form_of_a_layer(shape: Shape, blob: Descriptor, expected: Form | None) -> None:
    assert shape.form_of(blob) == expected


def image(*blobs: Descriptor, media_type: str = OCI_MANIFEST, data: bytes | None = None) -> ExportImage:
    layers = tuple(Layer(Digest.of(b.digest.hex.encode()), b.digest, 20, b) for b in blobs)
    config = ImageConfig(Platform("linux", "amd64"), diff_ids=tuple(y.diff_id for y in layers)).to_json()
    manifest = replace(Manifest.of(config, layers), layers=blobs, media_type=media_type)
    return ExportImage(manifest, config, layers, data=data)


def no_making(store: Store, layer: Layer, form: Form) -> Descriptor:
    raise AssertionError("nothing is to be made")


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
@pytest.mark.parametrize("layer", [OCI_LAYER_GZIP, DOCKER_LAYER_GZIP])
def test_what_does_not_change_keeps_its_bytes_even_with_types_of_both_families(
    tmp_path: Path, media_type: str, layer: str
) -> None:
    given = image(replace(GZIP, media_type=layer), media_type=media_type, data=b"as it came")
    found = shaped(Store.open(tmp_path / "store"), given, Shape(Form("gzip")), no_making)
    assert found.data == b"as it came"
    assert found.manifest == given.manifest


def test_docker_s_types(tmp_path: Path) -> None:
    found = shaped(Store.open(tmp_path / "store"), image(GZIP), Shape(oci=False), no_making)
    assert found.data is not None
    document = msgspec.json.decode(found.data)
    assert (document["mediaType"], document["config"]["mediaType"]) == (DOCKER_MANIFEST, DOCKER_CONFIG)
    assert [each["mediaType"] for each in document["layers"]] == [DOCKER_LAYER_GZIP]
    assert described(found).media_type == DOCKER_MANIFEST


def test_a_layer_that_is_made_keeps_its_annotations(tmp_path: Path) -> None:
    told = replace(ZSTD, annotations=(("a", "1"),))
    made = Descriptor(OCI_LAYER_GZIP, Digest.of(b"made"), 5)
    found = shaped(Store.open(tmp_path / "store"), image(told), Shape(Form("gzip")), lambda store, layer, form: made)
    assert found.manifest.layers == (replace(made, annotations=(("a", "1"),)),)
