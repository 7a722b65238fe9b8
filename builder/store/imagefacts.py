"""What lists and collections ask of every image, remembered by its manifest: to read the two documents of each of
5,000 images takes a second and more.

A manifest is named by its digest, so what it says never changes. Facts that a damaged database has wrong would let
layers be collected that are needed, so each row bears a checksum; one that is off costs reading the documents again.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.readied import readied
from builder.store.db import Database

_DIGEST_BYTES, _CHECKSUM_BYTES = 32, 4


class ImageFacts(Struct, frozen=True, array_like=True, gc=False):
    """What an image says of itself: when it was made (RFC 3339), for which platform, and what of layers.

    `stack` are the diff IDs of its layers, `packed` the digests of their blobs, bottom first, 32 bytes each.
    """

    created: str | None
    platform: str
    stack: bytes
    packed: bytes

    @classmethod
    def of(cls, created: str | None, platform: str, stack: Iterable[Digest], blobs: Iterable[Digest]) -> ImageFacts:
        """The facts of an image."""
        return cls(created, platform, _joined(stack), _joined(blobs))

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The diff IDs of its layers, bottom first."""
        return tuple(map(_digest, _cut(self.stack)))

    @property
    def blobs(self) -> tuple[Digest, ...]:
        """The digests of its layers' blobs, bottom first."""
        return tuple(map(_digest, _cut(self.packed)))


class FactTable:
    """The rows of facts. One may be of an image that is gone."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> dict[str, ImageFacts]:
        """All facts by the digits of manifests' digests."""
        found: dict[str, ImageFacts] = {}
        decoder = msgspec.msgpack.Decoder(readied(ImageFacts))
        for manifest, value in self._db.rows("SELECT manifest, value FROM image_facts"):
            data = value[_CHECKSUM_BYTES:]
            if value[:_CHECKSUM_BYTES] == _checksum(manifest, data):
                found[manifest] = decoder.decode(data)
        return found

    def keep(self, facts: Iterable[tuple[Digest, ImageFacts]]) -> None:
        """Remember what images with these manifests say."""
        encoded = ((manifest.hex, msgspec.msgpack.encode(each)) for manifest, each in facts)
        rows = [(manifest, _checksum(manifest, data) + data) for manifest, data in encoded]
        if rows:
            self._db.execute_optional("INSERT OR REPLACE INTO image_facts VALUES (?, ?)", rows)

    def forget_lost(self) -> None:
        """Forget the facts of images that are gone. Only collection may."""
        self._db.execute_optional("DELETE FROM image_facts WHERE manifest NOT IN (SELECT manifest FROM images)", [()])


def every_layer(facts: Iterable[ImageFacts]) -> tuple[frozenset[Digest], frozenset[Digest]]:
    """The diff IDs and the blobs of all layers of several images; many share theirs."""
    stacks, packed = set[bytes](), set[bytes]()
    for each in facts:
        stacks.update(_cut(each.stack))
        packed.update(_cut(each.packed))
    return frozenset(map(_digest, stacks)), frozenset(map(_digest, packed))


def _joined(digests: Iterable[Digest]) -> bytes:
    return b"".join(bytes.fromhex(digest.hex) for digest in digests)


def _cut(joined: bytes) -> list[bytes]:
    return [joined[at : at + _DIGEST_BYTES] for at in range(0, len(joined), _DIGEST_BYTES)]


def _digest(data: bytes) -> Digest:
    return Digest(data.hex())


def _checksum(manifest: str, data: bytes) -> bytes:
    return crc32(data, crc32(manifest.encode())).to_bytes(_CHECKSUM_BYTES, "big")
