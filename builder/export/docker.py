"""The archive of `docker save`: an OCI layout of plain layers that has a manifest.json too, as Docker 25 writes it.

Older programs read manifest.json alone (Docker image spec v1.2), newer ones what they like of the two.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from builder.errors import UsageError
from builder.export import oci
from builder.export.base import Export, ExportImage
from builder.export.layout import Layout, Target, blob_path
from builder.export.shape import OPTIONS as SHAPE
from builder.export.shape import Shape
from builder.image.descriptor import Descriptor
from builder.layers.compress import Form

OPTIONS = (*SHAPE, "tar")
_PLAIN = Form("uncompressed")


def check(destination: str, options: Mapping[str, str]) -> None:
    """Raises UsageError for what cannot be written."""
    oci.check(destination, options)
    if any(annotation.of_index for annotation in Shape.parse(options).annotations):
        raise UsageError("a docker archive has no index to annotate", hint="annotate the manifest")


def export_docker(export: Export, destination: str, options: Mapping[str, str]) -> Descriptor | None:
    """Write the images so that `docker load` and `podman load` take them, their layers plain unless told otherwise."""
    shape = oci.asked(export, options)
    if shape.form is None:
        shape = replace(shape, form=_PLAIN)
    if export.indexes:
        raise UsageError("a docker archive holds no image for several platforms", hint="use type=oci, or one platform")
    images = tuple(replace(image, attest=None) for image in export.images)

    def write(target: Target) -> Descriptor | None:
        layout = Layout(replace(export, images=images), target, shape)
        found = layout.write()
        target.add("manifest.json", msgspec.json.encode([_saved(image) for image in layout.images]))
        return found

    return oci.into(destination, options, write)


def _saved(image: ExportImage) -> dict[str, object]:
    return {
        "Config": blob_path(image.manifest.config.digest),
        "RepoTags": [name.familiar() for name in image.names],
        "Layers": [blob_path(blob.digest) for blob in image.manifest.layers],
    }
