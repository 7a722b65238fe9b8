"""Indexes put together by hand: entries added, described anew, taken out, as plain data.

What is not touched stays as it was made elsewhere, fields that nothing here knows among them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.errors import NotFoundError
from builder.image.descriptor import Annotations
from builder.image.manifest import IndexEntry, entry_document
from builder.image.mediatypes import OCI_INDEX

Document = dict[str, Any]


class Words(Struct, frozen=True):
    """What an entry is to say of its image: of its platform (OCI image-index.md), and annotations. Empty: as it is."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    annotations: Annotations = ()

    def platform(self) -> dict[str, Any]:
        """What they say of the platform, named as in the specification."""
        names = (("architecture", self.architecture), ("os", self.os), ("variant", self.variant),
                 ("os.version", self.os_version), ("os.features", list(self.os_features)),
                 ("features", list(self.features)))  # fmt: skip
        return {name: value for name, value in names if value}


def nothing() -> Document:
    """An index that names nothing."""
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


def read(data: bytes) -> Document:
    """An index that has been parsed before, with all that is in it."""
    found: Document = msgspec.json.decode(data)
    return found


def encoded(document: Document) -> bytes:
    """The bytes of an index."""
    return msgspec.json.encode(document)


def added(document: Document, entry: IndexEntry, words: Words) -> Document:
    """An index with one more entry, in the place of one for the same manifest."""
    new, digest = _told(entry_document(entry), words), str(entry.descriptor.digest)
    entries = list(document["manifests"])
    at = next((n for n, each in enumerate(entries) if each["digest"] == digest), len(entries))
    return {**document, "manifests": [*entries[:at], new, *entries[at + 1 :]]}


def changed(document: Document, manifest: Digest, words: Words) -> Document:
    """An index whose entry for `manifest` says something else. Raises NotFoundError."""
    _find(document, manifest)
    entries = [_told(each, words) if each["digest"] == str(manifest) else each for each in document["manifests"]]
    return {**document, "manifests": entries}


def removed(document: Document, manifest: Digest) -> Document:
    """An index without an entry. Raises NotFoundError."""
    _find(document, manifest)
    return {**document, "manifests": [each for each in document["manifests"] if each["digest"] != str(manifest)]}


def annotated(document: Document, annotations: Annotations) -> Document:
    """An index with annotations of its own."""
    return {**document, "annotations": {**(document.get("annotations") or {}), **dict(annotations)}}


def _told(entry: Document, words: Words) -> Document:
    platform, annotations = words.platform(), dict(words.annotations)
    new = dict(entry)
    if platform:
        old = entry.get("platform") or {}
        if "architecture" in platform:
            old = {name: value for name, value in old.items() if name != "variant"}  # it is that of another one
        new["platform"] = {**old, **platform}
    if annotations:
        new["annotations"] = {**(entry.get("annotations") or {}), **annotations}
    return new


def _find(document: Document, manifest: Digest) -> None:
    if all(each["digest"] != str(manifest) for each in document["manifests"]):
        raise NotFoundError(f"the index does not name {manifest}")
