"""What cosign signs and where it keeps that (sigstore/cosign specs/SIGNATURE_SPEC.md), as values. No I/O.

A signature of the manifest `sha256:HEX` of a repository is a layer of the image `sha256-HEX.sig` there: the layer is a
small JSON document (*simple signing*) that names digest and image, an annotation of its descriptor the signature of its
bytes. Several layers are several signatures.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, UsageError
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest
from builder.image.mediatypes import OCI_CONFIG
from builder.image.reference import Reference
from builder.readied import readied

if TYPE_CHECKING:
    from builder.signing.keys import PrivateKey, PublicKey

LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
_TYPE = "cosign container image signature"
_LARGEST_PAYLOAD = 64 << 10
# So many signatures of one manifest are tried: who can write to the repository could have us fetch without end.
_MOST = 128

# The bytes of a payload, whose digest has been checked.
Fetch = Callable[[Descriptor], bytes]


class Signed(Struct, frozen=True):
    """A signature image: its manifest, and the blobs it needs besides those that were there."""

    manifest: Manifest
    blobs: tuple[bytes, ...]


class _Image(Struct, rename={"digest": "docker-manifest-digest"}):
    digest: str


class _Identity(Struct, rename={"reference": "docker-reference"}):
    reference: str = ""


class _Critical(Struct):
    identity: _Identity
    image: _Image
    type: str


class _Payload(Struct):
    critical: _Critical
    optional: Any = None


def tag_of(digest: Digest) -> str:
    """The tag the signatures of a manifest are kept under."""
    return f"sha256-{digest.hex}.sig"


def payload(name: Reference, digest: Digest) -> bytes:
    """What is signed: that the manifest `digest` is the image `name`."""
    return msgspec.json.encode(
        _Payload(_Critical(_Identity(str(replace(name, digest=None))), _Image(str(digest)), _TYPE))
    )


def signed(name: Reference, digest: Digest, key: PrivateKey, there: Manifest | None) -> Signed | None:
    """The signature image of the manifest `digest` with a signature by `key` added to those `there`.

    None when such a signature is there already: signing again changes nothing, though ECDSA's signatures differ.
    """
    data, public = payload(name, digest), key.public()
    known = Descriptor(LAYER, Digest.of(data), len(data))
    layers = () if there is None else there.layers
    for layer, signature in _signatures(layers):
        if layer.digest == known.digest and public.valid(signature, data):
            return None
    made = base64.b64encode(key.sign(data)).decode()
    layers = (*layers, replace(known, annotations=((SIGNATURE, made),)))
    config = _config([layer.digest for layer in layers])
    described = Descriptor(OCI_CONFIG, Digest.of(config), len(config))
    return Signed(Manifest(described, layers), (config, data))


def objection(name: Reference, digest: Digest, key: PublicKey, there: Manifest, fetch: Fetch) -> str | None:
    """What speaks against it that `digest` is signed by `key` as an image of `name`; None when it is.

    `there` are its signatures; one such among them will do. The tag it names is not compared, as cosign does not: a
    manifest may get further tags. Raises what `fetch` raises for a registry that does not answer.
    """
    reasons: list[str] = []
    for number, (layer, signature) in enumerate(_signatures(there.layers)):
        if number == _MOST:
            reasons.append(f"more than {_MOST} are not tried")
            break
        if layer.size > _LARGEST_PAYLOAD:
            reasons.append("one is too large to be one")
            continue
        try:
            data = fetch(layer)
        except (BadInputError, NotFoundError):
            reasons.append("one cannot be read")  # others may be right
            continue
        reason = _otherwise(data, name, digest) if key.valid(signature, data) else "one is by another key"
        if reason is None:
            return None
        reasons.append(reason)
    return "; ".join(dict.fromkeys(reasons)) or "there is none"


def _otherwise(data: bytes, name: Reference, digest: Digest) -> str | None:
    """What a document that is rightly signed says other than it must; None when it is as it must be."""
    try:
        found = msgspec.json.decode(data, type=readied(_Payload)).critical
    except (msgspec.DecodeError, RecursionError):
        return "one signs what is no claim about an image"
    if found.type != _TYPE or found.image.digest != str(digest):
        return "one is of another image"
    try:
        claimed = Reference.parse(found.identity.reference)
    except UsageError:
        return "one names no repository"
    if (claimed.domain, claimed.path) != (name.domain, name.path):
        return f"one is for {claimed.familiar()}"
    return None


def _signatures(layers: tuple[Descriptor, ...]) -> Iterator[tuple[Descriptor, bytes]]:
    for layer in layers:
        text = dict(layer.annotations).get(SIGNATURE)
        if layer.media_type == LAYER and text is not None:
            try:
                yield layer, base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                yield layer, b""


def _config(layers: list[Digest]) -> bytes:
    """A config as an image must have one: its layers, and nothing else."""
    never = "0001-01-01T00:00:00Z"
    return msgspec.json.encode(
        {
            "architecture": "",
            "created": never,
            "history": [{"created": never} for _ in layers],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [str(digest) for digest in layers]},
            "config": {},
        }
    )
