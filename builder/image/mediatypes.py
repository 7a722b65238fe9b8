"""Media types of the OCI image spec and of Docker's schema 2, and what they say of a layer."""

from __future__ import annotations

from builder.errors import BadInputError

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_LAYER_ZSTD = DOCKER_LAYER + ".zstd"

# Annotations that name an image (OCI annotations.md; the second is containerd's, with the full name).
REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"

# Annotations of what an index names besides images (BuildKit's attestation-storage.md): what it is, and whose.
REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"
ATTESTATION = "attestation-manifest"

MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
# What the config of an image is called: in some that are old nothing, or what any file is called (moby, pull_v2.go).
CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG, "", "application/octet-stream"})

_COMPRESSION = {
    OCI_LAYER: "uncompressed",
    OCI_LAYER_GZIP: "gzip",
    OCI_LAYER_ZSTD: "zstd",
    DOCKER_LAYER: "uncompressed",
    DOCKER_LAYER_GZIP: "gzip",
    DOCKER_LAYER_ZSTD: "zstd",
}
# Layers whose files are elsewhere: OCI layer.md, "Non-Distributable Layers"; Docker's manifest-v2-2.md.
_FOREIGN = ("application/vnd.oci.image.layer.nondistributable.", "application/vnd.docker.image.rootfs.foreign.")

_LAYER = {"uncompressed": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}
_DOCKER_TYPES = {
    OCI_MANIFEST: DOCKER_MANIFEST,
    OCI_INDEX: DOCKER_LIST,
    OCI_CONFIG: DOCKER_CONFIG,
    OCI_LAYER: DOCKER_LAYER,
    OCI_LAYER_GZIP: DOCKER_LAYER_GZIP,
}
_OCI_TYPES = {docker: oci for oci, docker in _DOCKER_TYPES.items()}


def compression_of(media_type: str) -> str:
    """`uncompressed`, `gzip` or `zstd`. Raises BadInputError for what is no layer we can read."""
    try:
        return _COMPRESSION[media_type]
    except KeyError:
        if media_type.startswith(_FOREIGN):
            raise BadInputError(
                f"foreign layers ({media_type[:100]}) are not supported: only their maker may give them away"
            ) from None
        raise BadInputError(f"layers of type {media_type[:100]!r} are not supported") from None


def layer_type(compression: str) -> str:
    """The OCI layer media type of a compression named as in `compression_of`."""
    return _LAYER[compression]


def typed(media_type: str, *, oci: bool) -> str:
    """The media type that OCI, or else Docker, has for what is of `media_type`; the same where it has none."""
    return (_OCI_TYPES if oci else _DOCKER_TYPES).get(media_type, media_type)
