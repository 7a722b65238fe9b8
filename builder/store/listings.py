"""The lists of files that keys are made of, each kept once, by the digest that stands for it in pre-images.

A key needs only the digest; the list tells people which file it was. One is written when a step that takes it runs,
and goes when no record names it any more.
"""

from __future__ import annotations

from builder.digest import Digest
from builder.store.db import Database
from builder.store.memo import TAKEN

# Below this, loading the compressor costs more than the bytes.
_SMALL = 16 << 10
# Magic number of zstd frames (RFC 8878). A list is text, and never begins so.
_ZSTD = b"\x28\xb5\x2f\xfd"
# The digests, in hex, that records name: of files of contexts, and of what is taken of stages. Damaged ones name none.
_NAMED = """
WITH images AS (SELECT CAST(preimage AS TEXT) AS image FROM records WHERE json_valid(CAST(preimage AS TEXT))),
named AS (
    SELECT value FROM images, json_each(image, '$.outside')
    UNION SELECT json_extract(image, '$.source') FROM images
    UNION SELECT json_extract(value, '$.source') FROM images, json_each(image, '$.also')
    UNION SELECT json_extract(value, '$.origin') FROM images, json_each(image, '$.mounts')
)
SELECT substr(value, 8) FROM named WHERE value IS NOT NULL
"""


class Listings:
    """The lists of a store."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, digest: Digest, listing: bytes) -> None:
        """Keep `listing`, whose sha256 is `digest`. On a full disk an explanation is lost, and no step fails."""
        if self._db.row("SELECT 1 FROM listings WHERE digest = ?", (digest.hex,)) is None:
            self._db.execute_optional("INSERT OR IGNORE INTO listings VALUES (?, ?)", [(digest.hex, _packed(listing))])

    def get(self, digest: Digest) -> bytes | None:
        """The list `digest` stands for; None when it is not kept, or damaged."""
        row = self._db.row("SELECT data FROM listings WHERE digest = ?", (digest.hex,))
        listing = None if row is None else _unpacked(row[0])
        return listing if listing is not None and Digest.of(listing) == digest else None

    def sweep(self) -> int:
        """Drop the lists that no record's pre-image names; gives how many. Called by who has removed records.

        What is remembered of them goes too: no look-up needs it any more.
        """
        self._db.execute(f"DELETE FROM memo WHERE kind = ? AND lower(hex(value)) NOT IN ({_NAMED})", (TAKEN,))
        return self._db.execute(f"DELETE FROM listings WHERE digest NOT IN ({_NAMED})")


def _packed(listing: bytes) -> bytes:
    if len(listing) < _SMALL:
        return listing
    # lazy: 8 ms, and only for large lists
    import zstandard

    return zstandard.ZstdCompressor(level=1).compress(listing)


def _unpacked(data: bytes) -> bytes | None:
    if not data.startswith(_ZSTD):
        return data
    # lazy: as above
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError:
        return None  # damaged
