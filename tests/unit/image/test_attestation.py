from __future__ import annotations

import json

from msgspec.structs import replace

from builder.digest import Digest
from builder.image.attestation import SLSA_V1, SPDX, Predicate, attestation, attested, files, moved
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, IndexEntry, parse, parse_manifest
from builder.image.mediatypes import OCI_MANIFEST
from builder.image.platform import Platform

IMAGE = Descriptor(OCI_MANIFEST, Digest.of(b"image"), 5)
PREDICATES = (Predicate(SPDX, b'{"a":1}'), Predicate(SLSA_V1, b'{"b":2}'))


def test_an_attestation_is_as_buildkit_stores_it() -> None:
    data, (config, *statements) = attestation(IMAGE, ["pkg:docker/it@1"], PREDICATES)
    manifest = parse_manifest(data)
    assert manifest.config.digest == Digest.of(config)
    assert [layer.media_type for layer in manifest.layers] == ["application/vnd.in-toto+json"] * 2
    assert [dict(layer.annotations) for layer in manifest.layers] == [
        {"in-toto.io/predicate-type": "https://spdx.dev/Document"},
        {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"},
    ]
    assert [layer.digest for layer in manifest.layers] == [Digest.of(text) for text in statements]
    assert json.loads(config) == {
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in manifest.layers]},
    }
    assert json.loads(statements[0]) == {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://spdx.dev/Document",
        "subject": [{"name": "pkg:docker/it@1", "digest": {"sha256": IMAGE.digest.hex}}],
        "predicate": {"a": 1},
    }


def test_an_image_without_a_name() -> None:
    _, (_, statement) = attestation(IMAGE, [], PREDICATES[:1])
    assert json.loads(statement)["subject"] == [{"name": "_", "digest": {"sha256": IMAGE.digest.hex}}]


def test_the_entry_of_an_index_runs_on_nothing() -> None:
    data, _ = attestation(IMAGE, [], PREDICATES)
    entry = attested(IMAGE.digest, data)
    assert entry.platform == Platform("unknown", "unknown")
    assert not entry.runs
    index = Index((IndexEntry(IMAGE, Platform("linux", "amd64")), entry))
    assert parse(index.to_json()) == index
    assert index.select(Platform("linux", "amd64")) == IMAGE
    assert dict(entry.descriptor.annotations) == {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": str(IMAGE.digest),
    }


def test_statements_as_files() -> None:
    data, blobs = attestation(IMAGE, [], PREDICATES)
    found = files(data, blobs)
    assert list(found) == ["sbom.spdx.json", "provenance.json"]
    assert json.loads(found["provenance.json"])["predicate"] == {"b": 2}
    assert files(data, blobs[:1]) == {}


def test_an_image_in_another_form_is_told_the_same_of() -> None:
    new = Descriptor(OCI_MANIFEST, Digest.of(b"other"), 5)
    assert moved(*attestation(IMAGE, ["a", "b"], PREDICATES), IMAGE.digest, new.digest) == attestation(
        new, ["a", "b"], PREDICATES
    )


def test_what_is_no_statement_about_it_stays() -> None:
    data, blobs = attestation(IMAGE, ["a"], PREDICATES)
    assert moved(data, blobs, Digest.of(b"third"), Digest.of(b"other")) == (data, blobs)
    manifest = parse_manifest(data)
    for junk in (b"", b"[" * 5000, b'{"_type":1}'):
        layer = replace(manifest.layers[0], digest=Digest.of(junk), size=len(junk))
        one = replace(manifest, layers=(layer,)).to_json()
        _, (_, kept) = moved(one, (blobs[0], junk), IMAGE.digest, Digest.of(b"other"))
        assert kept == junk
