"""Manifests and indexes (OCI image-spec manifest.md, image-index.md; Docker schema 2) as values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError
from builder.image.descriptor import Annotations, Descriptor, Layer
from builder.image.mediatypes import (
    INDEXES,
    MANIFESTS,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    REFERENCE_TYPE,
    compression_of,
    layer_type,
)
from builder.image.platform import Platform
from builder.readied import readied

# The distribution spec asks registries to take manifests of 4 MiB; larger ones are not images.
LARGEST = 4 << 20
MOST_LAYERS = 1000
# OCI descriptor.md: `size` is an int64.
_LARGEST_SIZE = (1 << 63) - 1
# The system and the architecture of what runs on none, such as an attestation.
UNKNOWN = "unknown"
_LONGEST_NAME = 64
_MOST_LISTED = 20


class Manifest(Struct, frozen=True):
    """One image: its config and its layers, bottom first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = OCI_MANIFEST
    annotations: Annotations = ()

    @classmethod
    def of(cls, config: bytes, layers: Iterable[Layer]) -> Manifest:
        """The OCI manifest of a config's bytes and layers; Docker's media types become OCI's."""
        blobs = (replace(b, media_type=layer_type(compression_of(b.media_type))) for b in (y.blob for y in layers))
        return cls(Descriptor(OCI_CONFIG, Digest.of(config), len(config)), tuple(blobs))

    def to_json(self) -> bytes:
        """The manifest's bytes; the same value gives the same bytes."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": descriptor_document(self.config),
            "layers": [descriptor_document(layer) for layer in self.layers],
        }
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return msgspec.json.encode(document)


class IndexEntry(Struct, frozen=True):
    """One manifest an index names."""

    descriptor: Descriptor
    platform: Platform | None = None

    @property
    def runs(self) -> bool:
        """Whether it is an image, as far as the index says: no attestation or the like, which is for no platform."""
        return (self.platform is None or self.platform.os != UNKNOWN) and (
            REFERENCE_TYPE not in dict(self.descriptor.annotations)
        )

    @property
    def loadable(self) -> bool:
        """Whether it may be an image that can be kept here: none for another kind of system."""
        return self.runs and (self.platform is None or self.platform.os == "linux")


class Index(Struct, frozen=True):
    """Several manifests, of one image for several platforms or of several images."""

    manifests: tuple[IndexEntry, ...]
    media_type: str = OCI_INDEX
    annotations: Annotations = ()

    def to_json(self) -> bytes:
        """The index's bytes."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "manifests": [entry_document(entry) for entry in self.manifests],
        }
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return msgspec.json.encode(document)

    @property
    def images(self) -> tuple[IndexEntry, ...]:
        """The entries that are images."""
        return tuple(entry for entry in self.manifests if entry.runs)

    def select(self, platform: Platform) -> Descriptor:
        """The manifest that is best for `platform`: of equals the first. Raises NotFoundError naming what there is."""
        images = self.images
        there_for = [(entry.platform.normal(), entry.descriptor) for entry in images if entry.platform is not None]
        for accepted in platform.accepted():
            for made_for, descriptor in there_for:
                if made_for == accepted:
                    return descriptor
        if len(images) == 1 and images[0].platform is None:
            return images[0].descriptor
        there = listed(entry.platform for entry in images) or "none named"
        raise NotFoundError(f"the image is not made for {platform}", hint=f"it is made for: {there}")


class _WirePlatform(msgspec.Struct):
    architecture: str = ""
    os: str = ""
    variant: str | None = None

    def __post_init__(self) -> None:
        for name in ("os", "architecture", "variant"):
            value = getattr(self, name)
            if value is not None and (len(value) > _LONGEST_NAME or not value.isprintable()):
                raise ValueError(f"{name} is not a name")


class _WireDescriptor(msgspec.Struct):
    digest: str
    size: int
    mediaType: str = ""
    annotations: dict[str, str] | None = None
    platform: _WirePlatform | None = None
    urls: list[str] | None = None


class _WireDocument(msgspec.Struct):
    schemaVersion: int = 0
    mediaType: str | None = None
    config: _WireDescriptor | None = None
    layers: list[_WireDescriptor] | None = None
    manifests: list[_WireDescriptor] | None = None
    annotations: dict[str, str] | None = None


def parse(data: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest or an index. `media_type` is what the transport said, used when the document is silent.

    Raises BadInputError for anything else, schema 1 among them.
    """
    if len(data) > LARGEST:
        raise BadInputError(f"manifest of {len(data)} bytes: more than {LARGEST} are not read")
    try:
        wire = msgspec.json.decode(data, type=readied(_WireDocument))
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInputError(f"not an image manifest: {error}") from error
    if wire.schemaVersion == 1:
        raise BadInputError(
            "image manifests of schema 1 are not supported", hint="push the image anew with a current tool"
        )
    kind = wire.mediaType or media_type
    if wire.manifests is not None and (kind in INDEXES or not kind):
        return _index(wire, kind)
    if wire.config is not None and (kind in MANIFESTS or not kind):
        return _manifest(wire, kind)
    raise BadInputError(f"neither an image manifest nor an index (media type {kind[:100]!r})")


def parse_manifest(data: bytes, media_type: str = "") -> Manifest:
    """Read what must be the manifest of one image. Raises BadInputError."""
    found = parse(data, media_type)
    if isinstance(found, Index):
        raise BadInputError("an image index stands where the manifest of one image must be")
    return found


def _manifest(wire: _WireDocument, kind: str) -> Manifest:
    layers = wire.layers or []
    if len(layers) > MOST_LAYERS:
        raise BadInputError(f"an image of {len(layers)} layers: more than {MOST_LAYERS} are not taken")
    if any(layer.urls for layer in layers):
        raise BadInputError("the image has foreign layers (with urls): they are not supported")
    assert wire.config is not None
    return Manifest(
        _descriptor(wire.config),
        tuple(_descriptor(layer) for layer in layers),
        kind or OCI_MANIFEST,
        tuple((wire.annotations or {}).items()),
    )


def _index(wire: _WireDocument, kind: str) -> Index:
    entries = []
    for item in wire.manifests or []:
        platform = None
        if item.platform is not None and item.platform.os:
            variant = item.platform.variant or ""
            arch = item.platform.architecture
            platform = Platform(item.platform.os, arch, "" if (arch, variant) == ("arm64", "v8") else variant)
        entries.append(IndexEntry(_descriptor(item), platform))
    return Index(tuple(entries), kind or OCI_INDEX, tuple((wire.annotations or {}).items()))


def _descriptor(wire: _WireDescriptor) -> Descriptor:
    if not 0 <= wire.size <= _LARGEST_SIZE:
        raise BadInputError(f"a descriptor of {wire.size} bytes")
    return Descriptor(wire.mediaType, Digest.parse(wire.digest), wire.size, tuple((wire.annotations or {}).items()))


def listed(platforms: Iterable[Platform | None]) -> str:
    """Platforms in words, each once; of very many the first."""
    found = list(dict.fromkeys(str(platform) for platform in platforms if platform is not None))
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    return ", ".join(found[:_MOST_LISTED]) + more


def descriptor_document(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor as plain data, named as in the specification."""
    document: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.annotations:
        document["annotations"] = dict(descriptor.annotations)
    return document


def entry_document(entry: IndexEntry) -> dict[str, Any]:
    """An entry of an index as plain data, named as in the specification."""
    document = descriptor_document(entry.descriptor)
    if entry.platform is not None:
        platform = {"architecture": entry.platform.architecture, "os": entry.platform.os}
        if entry.platform.variant:
            platform["variant"] = entry.platform.variant
        document["platform"] = platform
    return document
