"""Annotations of manifests and indexes as buildx has them: --annotation, and the attributes of --output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from builder.errors import UsageError
from builder.image import descriptor
from builder.image.manifest import IndexEntry
from builder.image.platform import Platform

# What is annotated: an image's manifest, or the descriptor of it in an index; an index, or the descriptor of that.
MANIFEST, MANIFEST_DESCRIPTOR, INDEX, INDEX_DESCRIPTOR = "manifest", "manifest-descriptor", "index", "index-descriptor"
_KINDS = (MANIFEST, MANIFEST_DESCRIPTOR, INDEX, INDEX_DESCRIPTOR)
_ATTRIBUTE = re.compile(r"annotation(?:-([a-z-]+))?(?:\[([^\]]*)\])?\.(.+)", re.DOTALL)
_PLACE = re.compile(r"([a-z-]+)(?:\[([^\]]*)\])?")


class Annotation(Struct, frozen=True):
    """One annotation of what is of `kind`, of the images for `platform` or (None) of all."""

    kind: str
    platform: Platform | None
    key: str
    value: str

    @property
    def of_index(self) -> bool:
        """Whether it is one of an index."""
        return self.kind in (INDEX, INDEX_DESCRIPTOR)

    @property
    def attribute(self) -> str:
        """Its name as an attribute of --output."""
        return f"annotation-{self.kind}{'' if self.platform is None else f'[{self.platform}]'}.{self.key}"


def parse(text: str) -> Iterator[Annotation]:
    """Read `[KIND[PLATFORM],…:]KEY=VALUE`. Raises UsageError."""
    name, equals, value = text.partition("=")
    places, colon, key = name.partition(":")
    if not colon:
        places, key = MANIFEST, places
    if not equals or not key:
        raise UsageError(f"--annotation {text}: it must be [KIND:]KEY=VALUE", hint="for example index:org.example=x")
    for place in places.split(","):
        match = _PLACE.fullmatch(place)
        if match is None:
            raise UsageError(f"--annotation {text}: {place!r} is no KIND or KIND[PLATFORM]", hint=_known())
        yield _annotation(f"--annotation {text}", match[1], match[2], key, value)


def attribute(name: str, value: str) -> Annotation | None:
    """The attribute `annotation[-KIND][[PLATFORM]].KEY` of --output; None for another one. Raises UsageError."""
    match = _ATTRIBUTE.fullmatch(name)
    return None if match is None else _annotation(name, match[1] or MANIFEST, match[2], match[3], value)


def chosen(annotations: Iterable[Annotation], kind: str, platform: Platform | None = None) -> descriptor.Annotations:
    """Those of `annotations` that what is of `kind`, and for `platform`, has. Of one key the last counts."""
    found = {a.key: a.value for a in annotations if a.kind == kind and a.platform in (None, platform)}
    return tuple(found.items())


def together(one: descriptor.Annotations, other: descriptor.Annotations) -> descriptor.Annotations:
    """All annotations; of one key that of `other`."""
    return tuple({**dict(one), **dict(other)}.items())


def annotated(entries: Iterable[IndexEntry], annotations: Sequence[Annotation]) -> Iterator[IndexEntry]:
    """Entries of an index with the annotations of each."""
    for entry in entries:
        more = chosen(annotations, MANIFEST_DESCRIPTOR, entry.platform)
        both = together(entry.descriptor.annotations, more)
        yield replace(entry, descriptor=replace(entry.descriptor, annotations=both))


def _annotation(where: str, kind: str, platform: str | None, key: str, value: str) -> Annotation:
    if kind not in _KINDS:
        raise UsageError(f"{where}: {kind!r} cannot be annotated", hint=_known())
    if platform is not None and kind in (INDEX, INDEX_DESCRIPTOR):
        raise UsageError(f"{where}: an index is for no single platform")
    return Annotation(kind, None if platform is None else Platform.parse(platform), key, value)


def _known() -> str:
    return f"KIND is one of {', '.join(_KINDS)}"
