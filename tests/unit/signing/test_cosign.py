from __future__ import annotations

import base64
import json
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import NotFoundError
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest, parse_manifest
from builder.image.reference import Reference
from builder.signing.cosign import LAYER, SIGNATURE, objection, payload, signed, tag_of
from builder.signing.keys import PrivateKey

NAME = Reference.parse("registry.example/team/app:1.0")
IMAGE = Digest.of(b"a manifest")


def new_key() -> PrivateKey:
    return PrivateKey(ec.generate_private_key(ec.SECP256R1()))


KEY = new_key()


class Blobs(dict[Digest, bytes]):
    def keep(self, *blobs: bytes) -> None:
        self.update({Digest.of(data): data for data in blobs})

    def __call__(self, descriptor: Descriptor) -> bytes:
        return self[descriptor.digest]


def made(
    name: Reference = NAME, digest: Digest = IMAGE, key: PrivateKey = KEY, there: Manifest | None = None
) -> tuple[Manifest, Blobs]:
    found = signed(name, digest, key, there)
    assert found is not None
    blobs = Blobs()
    blobs.keep(*found.blobs)
    return found.manifest, blobs


def claim(data: bytes, key: PrivateKey = KEY) -> tuple[Manifest, Blobs]:
    """A signature image with one signature, of any bytes."""
    layer = Descriptor(LAYER, Digest.of(data), len(data), ((SIGNATURE, base64.b64encode(key.sign(data)).decode()),))
    blobs = Blobs()
    blobs.keep(data)
    return Manifest(layer, (layer,)), blobs


def test_the_tag() -> None:
    assert tag_of(IMAGE) == f"sha256-{IMAGE.hex}.sig"


def test_the_payload_is_simple_signing() -> None:
    assert json.loads(payload(NAME, IMAGE)) == {
        "critical": {
            "identity": {"docker-reference": "registry.example/team/app:1.0"},
            "image": {"docker-manifest-digest": str(IMAGE)},
            "type": "cosign container image signature",
        },
        "optional": None,
    }
    assert payload(replace(NAME, tag=None, digest=IMAGE), IMAGE) == payload(replace(NAME, tag=None), IMAGE)


def test_the_image_of_a_signature() -> None:
    manifest, blobs = made()
    assert parse_manifest(manifest.to_json()) == manifest
    (layer,) = manifest.layers
    assert layer.media_type == LAYER
    assert blobs(layer) == payload(NAME, IMAGE)
    config = json.loads(blobs(manifest.config))
    assert config["rootfs"] == {"type": "layers", "diff_ids": [str(layer.digest)]}


def test_what_is_signed_is_accepted() -> None:
    manifest, blobs = made()
    assert objection(NAME, IMAGE, KEY.public(), manifest, blobs) is None


def test_another_tag_of_the_repository_is_accepted() -> None:
    manifest, blobs = made()
    assert objection(replace(NAME, tag="latest"), IMAGE, KEY.public(), manifest, blobs) is None


def test_signing_again_adds_nothing() -> None:
    manifest, _ = made()
    assert signed(NAME, IMAGE, KEY, manifest) is None


def test_signatures_of_others_stay() -> None:
    other = new_key()
    first, blobs = made(key=other)
    both, more = made(there=first)
    blobs.update(more)
    assert both.layers[0] == first.layers[0]
    assert len(json.loads(blobs(both.config))["rootfs"]["diff_ids"]) == 2
    assert objection(NAME, IMAGE, KEY.public(), both, blobs) is None
    assert objection(NAME, IMAGE, other.public(), both, blobs) is None


def refused(manifest: Manifest, blobs: Mapping[Digest, bytes], key: PrivateKey = KEY) -> str:
    found = objection(NAME, IMAGE, key.public(), manifest, lambda descriptor: blobs[descriptor.digest])
    assert found is not None
    return found


def test_another_key() -> None:
    assert "by another key" in refused(*made(), key=new_key())


def test_another_repository() -> None:
    manifest, blobs = made(name=Reference.parse("registry.example/team/other:1.0"))
    assert "for registry.example/team/other:1.0" in refused(manifest, blobs)


def test_another_digest() -> None:
    assert "of another image" in refused(*made(digest=Digest.of(b"other")))


def test_no_signature() -> None:
    assert "there is none" in refused(Manifest(Descriptor("", IMAGE, 0), ()), {})


def changed(**changes: object) -> bytes:
    document = json.loads(payload(NAME, IMAGE))
    document["critical"].update(changes)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (changed(type="atomic container signature"), "of another image"),
        (changed(identity={}), "names no repository"),
        (changed(identity={"docker-reference": "\n"}), "names no repository"),
        (b"null", "no claim"),
        (b"[" * 50_000, "no claim"),
        (b'{"critical":{}}', "no claim"),
        (b"\xff", "no claim"),
    ],
)
def test_claims_that_are_none(data: bytes, reason: str) -> None:
    assert reason in refused(*claim(data))


def test_a_signature_of_other_bytes() -> None:
    manifest, blobs = made()
    (layer,) = manifest.layers
    for text in ("", "!", base64.b64encode(b"\x30\x06\x02\x01\x00\x02\x01\x00").decode()):
        broken = replace(manifest, layers=(replace(layer, annotations=((SIGNATURE, text),)),))
        assert "by another key" in refused(broken, blobs)


def test_a_layer_without_a_signature_counts_for_nothing() -> None:
    manifest, blobs = made()
    (layer,) = manifest.layers
    assert "there is none" in refused(replace(manifest, layers=(replace(layer, annotations=()),)), blobs)
    assert "there is none" in refused(replace(manifest, layers=(replace(layer, media_type="text/plain"),)), blobs)


def test_a_huge_payload_is_not_fetched() -> None:
    manifest, _ = made()
    (layer,) = manifest.layers
    assert "too large" in refused(replace(manifest, layers=(replace(layer, size=1 << 40),)), {})


def test_one_that_cannot_be_read_does_not_hide_another() -> None:
    first, _ = made(key=new_key())
    both, blobs = made(there=first)
    lost, layer = replace(both.layers[0], digest=Digest.of(b"lost")), both.layers[1]

    def fetch(descriptor: Descriptor) -> bytes:
        if descriptor.digest not in blobs:
            raise NotFoundError("no such blob")
        return blobs(descriptor)

    assert objection(NAME, IMAGE, KEY.public(), replace(both, layers=(lost, layer)), fetch) is None
    assert objection(NAME, IMAGE, KEY.public(), replace(both, layers=(lost,)), fetch) == "one cannot be read"


def test_not_all_of_very_many_are_tried() -> None:
    manifest, blobs = made(key=new_key())
    asked: list[Descriptor] = []

    def fetch(descriptor: Descriptor) -> bytes:
        asked.append(descriptor)
        return blobs(descriptor)

    found = objection(NAME, IMAGE, KEY.public(), replace(manifest, layers=manifest.layers * 1000), fetch)
    assert found == "one is by another key; more than 128 are not tried"
    assert len(asked) == 128
