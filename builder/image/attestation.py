"""What is told of an image, kept beside it in its index (BuildKit, docs/attestations/attestation-storage.md).

An *attestation manifest* is an image that runs on nothing; each of its layers is an in-toto statement: a *predicate* of
some type about the manifest of the image that is its *subject*. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.image.descriptor import Descriptor
from builder.image.manifest import UNKNOWN, IndexEntry, Manifest, parse_manifest
from builder.image.mediatypes import OCI_CONFIG, OCI_MANIFEST, REFERENCE_DIGEST, REFERENCE_TYPE
from builder.image.platform import Platform
from builder.readied import readied

STATEMENT = "application/vnd.in-toto+json"
PREDICATE_TYPE = "in-toto.io/predicate-type"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v0.1"
_REFERENCE = "attestation-manifest"
# A subject without a name.
_NAMELESS = "_"


SPDX = "https://spdx.dev/Document"
CYCLONEDX = "https://cyclonedx.org/bom"
SLSA_V02 = "https://slsa.dev/provenance/v0.2"
SLSA_V1 = "https://slsa.dev/provenance/v1"
PROVENANCE_FILE = "provenance.json"
# What a statement of a type is called as a file of its own, by BuildKit's names.
_FILES = {
    SPDX: "sbom.spdx.json",
    CYCLONEDX: "sbom.cyclonedx.json",
    SLSA_V02: PROVENANCE_FILE,
    SLSA_V1: PROVENANCE_FILE,
}


class Predicate(Struct, frozen=True):
    """A document of a type, as JSON."""

    type: str
    data: bytes


class _Subject(Struct):
    name: str
    digest: dict[str, str]


class _Statement(Struct, rename={"kind": "_type", "predicate_type": "predicateType"}):
    kind: str
    predicate_type: str
    subject: list[_Subject]
    predicate: msgspec.Raw


def statement(image: Descriptor, names: Sequence[str], predicate: Predicate) -> bytes:
    """The statement that `predicate` holds for the image with this manifest, which is called by `names` (URLs)."""
    subjects = [_Subject(name, {"sha256": image.digest.hex}) for name in names or (_NAMELESS,)]
    return msgspec.json.encode(_Statement(_STATEMENT_TYPE, predicate.type, subjects, msgspec.Raw(predicate.data)))


def attestation(
    image: Descriptor, names: Sequence[str], predicates: Sequence[Predicate]
) -> tuple[bytes, tuple[bytes, ...]]:
    """The bytes of the attestation manifest of an image, and those of its config and layers."""
    statements = [statement(image, names, predicate) for predicate in predicates]
    layers = [
        Descriptor(STATEMENT, Digest.of(data), len(data), ((PREDICATE_TYPE, predicate.type),))
        for data, predicate in zip(statements, predicates, strict=True)
    ]
    return _manifest(layers, statements)


def moved(manifest: bytes, blobs: Sequence[bytes], old: Digest, new: Digest) -> tuple[bytes, tuple[bytes, ...]]:
    """An attestation of the image with the manifest `old` as one of the same image in another form: with `new`.

    Raises BadInputError for what is no manifest.
    """
    data = {Digest.of(blob): blob for blob in blobs}
    layers, told = [], []
    for layer in parse_manifest(manifest).layers:
        text = data.get(layer.digest)
        if text is not None:
            text = _moved(text, old, new) if layer.media_type == STATEMENT else text
            told.append(text)
            layers.append(replace(layer, digest=Digest.of(text), size=len(text)))
    return _manifest(layers, told)


def _moved(text: bytes, old: Digest, new: Digest) -> bytes:
    try:
        found = msgspec.json.decode(text, type=readied(_Statement))
    except (msgspec.DecodeError, RecursionError):
        return text  # whatever it says, it is not for us to say it of another
    for subject in found.subject:
        if subject.digest.get("sha256") == old.hex:
            subject.digest["sha256"] = new.hex
    return msgspec.json.encode(found)


def _manifest(layers: Sequence[Descriptor], statements: Sequence[bytes]) -> tuple[bytes, tuple[bytes, ...]]:
    config = msgspec.json.encode(
        {
            "architecture": UNKNOWN,
            "os": UNKNOWN,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]},
        }
    )
    manifest = Manifest(Descriptor(OCI_CONFIG, Digest.of(config), len(config)), tuple(layers))
    return manifest.to_json(), (config, *statements)


def files(manifest: bytes, blobs: Sequence[bytes]) -> dict[str, bytes]:
    """The statements of an attestation as files, by what they are called."""
    data = {Digest.of(blob): blob for blob in blobs}
    found = {}
    for layer in parse_manifest(manifest).layers:
        kind = dict(layer.annotations).get(PREDICATE_TYPE, "")
        if kind in _FILES and layer.digest in data:
            found[_FILES[kind]] = msgspec.json.format(data[layer.digest], indent=2) + b"\n"
    return found


def attested(image: Digest, manifest: bytes) -> IndexEntry:
    """What an index says of an attestation manifest: the digest of the image it is about, and that it runs nowhere."""
    about = ((REFERENCE_TYPE, _REFERENCE), (REFERENCE_DIGEST, str(image)))
    descriptor = Descriptor(OCI_MANIFEST, Digest.of(manifest), len(manifest), about)
    return IndexEntry(descriptor, Platform(UNKNOWN, UNKNOWN))
