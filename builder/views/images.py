"""Images as rows and as the document `docker image inspect` prints."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from builder.image.config import ImageConfig
from builder.image.descriptor import Layer
from builder.image.reference import Reference
from builder.store.images import StoredImage


class ImageRow(Struct, frozen=True):
    """One name of an image (`repository` and `tag` are `<none>` for one without). `size`: bytes of its layers' tars."""

    repository: str
    tag: str
    id: str
    created: str | None
    size: int


def rows(image: StoredImage, config: ImageConfig, layers: tuple[Layer, ...]) -> list[ImageRow]:
    """A row for each name."""
    size = sum(layer.size for layer in layers)
    names = [_split(name) for name in image.names] or [("<none>", "<none>")]
    return [ImageRow(repository, tag, str(image.config), config.created, size) for repository, tag in names]


def _split(name: str) -> tuple[str, str]:
    reference = Reference.parse(name)
    tag = reference.tag or "<none>"
    return name.removesuffix(f":{tag}"), tag


def inspected(image: StoredImage, config: ImageConfig, layers: tuple[Layer, ...]) -> dict[str, Any]:
    """All that is known of an image, under Docker's names."""
    document = config.document()
    return {
        "Id": str(image.config),
        "RepoTags": list(image.names),
        "RepoDigests": [],
        "Digest": str(image.manifest.digest),
        "MediaType": image.manifest.media_type,
        "Created": config.created,
        "Author": config.author,
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": sum(layer.size for layer in layers),
        "Config": document.get("config", {}),
        "RootFS": {"Type": "layers", "Layers": [str(d) for d in config.diff_ids]},
    }
