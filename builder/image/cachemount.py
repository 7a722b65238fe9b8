"""Cache mounts as documents: what one is, and the OCI artifact it travels as (OCI image-spec manifest.md, artifacts).

index.json   names manifests by the ids of cache mounts
manifest     config: what it is, and the packs in order by their plain digests
             layers: the packs, zstd each; put together they are a .tar.zst of the tree
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError
from builder.image.descriptor import Descriptor
from builder.image.mediatypes import OCI_MANIFEST
from builder.readied import readied

ARTIFACT = "application/vnd.pybuild.cachemount.v1"
CONFIG = "application/vnd.pybuild.cachemount.config.v1+json"
PACK = "application/vnd.pybuild.cachemount.pack.v1.tar+zstd"
# What an index calls it: the id of the mount.
ID = "pybuild.cachemount.id"
# Of a manifest or config that is read: 100,000 packs have less, which are 60 GB of small files.
LARGEST = 32 << 20
VERSION = 1
_LONGEST = 4096
_LARGEST_ID = 2**32 - 2


class About(Struct, frozen=True, rename={"begins": "from"}):
    """What a cache mount is: another beginning is another cache mount, whatever its `id` (as in BuildKit).

    New directories of it begin as `source` of the tree with the content chain `begins`; when that is empty, as an
    empty directory with `mode` (octal), `uid` and `gid`.
    """

    id: str
    begins: str = ""
    source: str = ""
    mode: str = "755"
    uid: int = 0
    gid: int = 0

    def document(self) -> bytes:
        """As it is kept; the same value gives the same bytes."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def name(self) -> str:
        """What it is called in a store: 64 hex digits."""
        return Digest.of(self.document()).hex


class PackFacts(Struct, frozen=True, omit_defaults=True):
    """A pack: digest and length of its plain bytes; `goes_on`: its last entry does in the next (layers/packs)."""

    diff_id: str
    size: int
    goes_on: bool = False


class Contents(Struct, frozen=True):
    """The config: version, what the cache mount is, how many entries it has, and its packs in order."""

    v: int
    about: About
    entries: int
    packs: tuple[PackFacts, ...]

    def to_json(self) -> bytes:
        """Its bytes."""
        return msgspec.json.encode(self, order="sorted")


class Archive(Struct, frozen=True):
    """A cache mount in an archive: what it is, and its packs with the blobs they are in."""

    contents: Contents
    blobs: tuple[Descriptor, ...]


class _Part(Struct, frozen=True, rename="camel"):
    media_type: str
    digest: str
    size: int


class _Manifest(Struct, frozen=True, rename="camel"):
    schema_version: int
    config: _Part
    layers: tuple[_Part, ...]
    artifact_type: str = ""
    media_type: str = OCI_MANIFEST


def manifest(config: bytes, blobs: Sequence[Descriptor]) -> bytes:
    """The manifest of a config and the packs' blobs; the same gives the same bytes."""
    parts = tuple(_Part(PACK, str(blob.digest), blob.size) for blob in blobs)
    return msgspec.json.encode(_Manifest(2, _Part(CONFIG, str(Digest.of(config)), len(config)), parts, ARTIFACT))


def parse_manifest(data: bytes) -> tuple[Descriptor, tuple[Descriptor, ...]]:
    """The config and the packs' blobs a manifest names. Raises BadInputError for any but a cache mount's."""
    try:
        found = msgspec.json.decode(data, type=readied(_Manifest))
    except msgspec.DecodeError as error:
        raise BadInputError(f"the archive's manifest cannot be read: {error}") from error
    if found.artifact_type != ARTIFACT or any(part.media_type != PACK for part in found.layers):
        raise BadInputError(
            f"not a cache mount: the archive holds {found.artifact_type or found.config.media_type}",
            hint="images are taken in by: pybuild load",
        )
    return _descriptor(found.config), tuple(map(_descriptor, found.layers))


def parse_contents(data: bytes, blobs: Sequence[Descriptor], most: int) -> Contents:
    """The config of an archive whose packs are in `blobs`, each of at most `most` plain bytes. Raises BadInputError."""
    try:
        found = msgspec.json.decode(data, type=readied(Contents))
    except msgspec.DecodeError as error:
        raise BadInputError(f"the archive's config cannot be read: {error}") from error
    if found.v != VERSION:
        raise BadInputError(f"the archive has version {found.v}, known is {VERSION}", hint="update pybuild")
    if len(found.packs) != len(blobs):
        raise BadInputError(f"the archive has {len(blobs)} packs where its config names {len(found.packs)}")
    _check(found.about)
    for pack in found.packs:
        Digest.parse(pack.diff_id)
        if not 0 < pack.size <= most:
            raise BadInputError(f"the archive has a pack of {pack.size} bytes")
    return found


def _check(about: About) -> None:
    """Raises BadInputError for what no Buildfile says: it is shown to users, and made directories of."""
    printable = about.id.isprintable() and 0 < len(about.id) <= _LONGEST and about.source.isprintable()
    owner = 0 <= about.uid <= _LARGEST_ID and 0 <= about.gid <= _LARGEST_ID
    if not (printable and owner and len(about.source) <= _LONGEST and re.fullmatch("[0-7]{1,4}", about.mode)):
        raise BadInputError("the archive says of its cache mount what cannot be")
    if about.begins:
        Digest.parse(about.begins)


def _descriptor(part: _Part) -> Descriptor:
    if part.size < 0:
        raise BadInputError("the archive's manifest has a size below zero")
    return Descriptor(part.media_type, Digest.parse(part.digest), part.size)
