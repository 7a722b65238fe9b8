"""Named build contexts (`--build-context`) as a graph sees them: what a name stands for, and how names compare."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from builder.errors import UsageError
from builder.graph.vertex import GitTree, UrlFile
from builder.image.reference import DEFAULT_TAG, Reference

# What a result of the same bake is called where images are named: no image's whole name is written so.
TARGET = "target:"
# Names that mean something of their own wherever a stage or image is named.
RESERVED = frozenset({"scratch", "context"})


class LocalContext(Struct, frozen=True):
    """A directory of this machine; `name` is that of the context."""

    name: str


class ImageContext(Struct, frozen=True):
    """An image, named as the resolver of base images takes it."""

    reference: str


Named = LocalContext | ImageContext | UrlFile | GitTree


class Contexts(Struct, frozen=True):
    """The named contexts of a build, by canonical name; `stages` are those that are a stage of the Buildfile itself."""

    named: Mapping[str, Named]
    stages: Mapping[str, str] = {}

    def find(self, name: str) -> Named | None:
        """What `name`, of a stage or an image, stands for; None when it is no context's."""
        if not self.named or name.lower() in RESERVED:
            return None
        try:
            return self.named.get(canonical(name))
        except UsageError:
            return None


NO_CONTEXTS = Contexts(MappingProxyType({}))


def canonical(name: str) -> str:
    """A context's name as it is compared: that of an image without what Docker leaves out, nor `:latest`.

    Raises UsageError for what cannot be an image's name either.
    """
    return Reference.parse(name).familiar().removesuffix(f":{DEFAULT_TAG}")
