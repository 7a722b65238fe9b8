"""Images as rows and as the document `docker image inspect` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.image.config import ImageConfig
from builder.image.descriptor import Layer
from builder.image.manifest import IndexEntry, descriptor_document, entry_document
from builder.image.mediatypes import ATTESTATION, REFERENCE_TYPE
from builder.store.catalog import Member, StoredImage
from builder.store.indexes import StoredIndex

# What stands for the repository and tag of an image without a name.
NONE = "<none>"


class PlatformRow(Struct, frozen=True):
    """An image of an index: for which platform, its ID, bytes of its layers' tars."""

    platform: str
    id: str
    size: int


class ImageRow(Struct, frozen=True, omit_defaults=True):
    """One name of an image (`repository` and `tag` are `<none>` for one without). `size`: bytes of its layers' tars.

    Of an index, `id` is its digest, and `platforms` are its images that are here; `size` is that of all their layers.
    `digest` is what the repository has it by, if that is known.
    """

    repository: str
    tag: str
    id: str
    created: str | None
    size: int
    platforms: tuple[PlatformRow, ...] = ()
    digest: str = ""


class Facts(Struct, frozen=True):
    """An image with what its config and its layers tell, and the names with digests that repositories have it by."""

    image: StoredImage
    config: ImageConfig
    layers: tuple[Layer, ...]
    published: tuple[str, ...] = ()


class Listed(Struct, frozen=True):
    """An image as lists show it: when it was made, for which platform, its layers with the bytes of their tars.

    `published` as in Facts.
    """

    image: StoredImage
    created: str | None
    platform: str
    layers: tuple[tuple[Digest, int], ...]
    published: Sequence[str] = ()

    @property
    def size(self) -> int:
        """Bytes of its layers' tars."""
        return sum(size for _, size in self.layers)


def rows(listed: Listed) -> list[ImageRow]:
    """A row for each name of an image."""
    identifier, size = str(listed.image.config), listed.size
    return [
        ImageRow(repository, tag, identifier, listed.created, size, digest=_published(repository, listed.published))
        for repository, tag in _names(listed.image.names)
    ]


def index_rows(index: StoredIndex, here: Sequence[Listed], published: Sequence[str]) -> list[ImageRow]:
    """A row for each name of an index; one of which a single image is `here` looks as that image does."""
    if len(here) == 1:
        image = replace(here[0].image, names=index.names)
        return rows(replace(here[0], image=image, published=published))
    layers = dict(layer for listed in here for layer in listed.layers)
    created = max((listed.created or "" for listed in here), default="") or None
    platforms = tuple(PlatformRow(listed.platform, str(listed.image.config), listed.size) for listed in here)
    return [
        ImageRow(
            repository,
            tag,
            str(index.descriptor.digest),
            created,
            sum(layers.values()),
            platforms,
            _published(repository, published),
        )
        for repository, tag in _names(index.names)
    ]


def _published(repository: str, published: Sequence[str]) -> str:
    """The digest that a repository has an image by, of names with digests."""
    return next((name.partition("@")[2] for name in published if name.startswith(f"{repository}@")), "")


def _names(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Repositories and tags; a name of the store has a tag always."""
    return [(name.rpartition(":")[0], name.rpartition(":")[2]) for name in names] or [(NONE, NONE)]


def inspected(facts: Facts) -> dict[str, Any]:
    """All that is known of an image, under Docker's names."""
    image, config, layers = facts.image, facts.config, facts.layers
    document = config.document()
    return {
        "Id": str(image.config),
        "RepoTags": list(image.names),
        "RepoDigests": list(facts.published),
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


def inspected_index(
    index: StoredIndex,
    entries: Sequence[IndexEntry],
    members: Sequence[Member],
    facts: Facts | None,
    published: Sequence[str],
) -> dict[str, Any]:
    """All that is known of an index: what it names, and the image that stands for it where one is here.

    As Docker shows it: `Descriptor` is the index's own, `Manifests` tells of each entry of which kind it is, for which
    platform, and whether it is in the store.
    """
    here = {member.manifest.digest for member in members if member.image is not None}
    whole = {} if facts is None else inspected(facts)
    return {
        "Id": str(index.descriptor.digest),
        **whole,
        "RepoTags": list(dict.fromkeys((*index.names, *whole.get("RepoTags", ())))),
        "RepoDigests": list(dict.fromkeys((*published, *whole.get("RepoDigests", ())))),
        "Descriptor": descriptor_document(index.descriptor),
        "Manifests": [
            {
                "ID": str(entry.descriptor.digest),
                "Descriptor": entry_document(entry),
                "Available": entry.descriptor.digest in here,
                "Kind": "image" if entry.runs else "attestation" if _attests(entry) else "unknown",
            }
            for entry in entries
        ],
    }


def _attests(entry: IndexEntry) -> bool:
    return dict(entry.descriptor.annotations).get(REFERENCE_TYPE) == ATTESTATION
