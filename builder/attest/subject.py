"""`Subject`: the image that something is told of."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from packageurl import PackageURL

from builder.attest.inventory import Inventory
from builder.digest import Digest
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.version import __version__


class Subject(Struct, frozen=True):
    """An image by its ID (its manifest's digest changes with its compression), names and platform.

    `created` is in seconds since the epoch.
    """

    image: Digest
    names: tuple[Reference, ...]
    platform: Platform
    created: int

    @property
    def title(self) -> str:
        """One name of it for people."""
        return self.names[0].familiar() if self.names else str(self.image)


def subject_of(image: Digest, config: ImageConfig, names: tuple[Reference, ...]) -> Subject:
    """The image of a config. One that does not say when it was made was made in 1970."""
    try:
        created = int(datetime.fromisoformat(config.created or "").timestamp())
        datetime.fromtimestamp(created, UTC)  # a year that both take
    except (ValueError, OverflowError, OSError):
        created = 0
    return Subject(image, names, config.platform, max(created, 0))


def image_purl(name: Reference, platform: Platform | None) -> str:
    """An image's package URL as BuildKit writes it: pkg:docker/NAME@TAG?platform=OS%2FARCH."""
    space, _, last = name.familiar().partition("@")[0].rpartition("/")
    base, _, tag = last.partition(":")
    qualifiers = {"digest": str(name.digest) if name.digest else "", "platform": str(platform) if platform else ""}
    url = PackageURL("docker", space or None, base, tag or None, {k: v for k, v in qualifiers.items() if v})
    path, mark, rest = url.to_string().partition("?")
    return path + mark + rest.replace("/", "%2F")  # the library leaves slashes, BuildKit's does not


def identity(inventory: Inventory, subject: Subject) -> uuid.UUID:
    """What is the same for the same document: of the image, and of what was found in it."""
    told = msgspec.json.encode((str(subject.image), subject.title, inventory, __version__))
    return uuid.UUID(Digest.of(told).hex[:32], version=4)
