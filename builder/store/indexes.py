"""Indexes of the store: one name for an image made for several platforms. Rows, and which manifests each names.

An index is kept as the bytes it came in. What it names need not all be here: of one that was pulled for a single
platform, only that image is. The images that are here are rows of their own (store/images); attestations and whatever
else an index names that runs on nothing are blobs that stay as long as it does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, PybuildError
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, IndexEntry, Manifest, parse
from builder.image.mediatypes import DOCKER_CONFIG, OCI_CONFIG
from builder.store.blobs import Blobs
from builder.store.db import Database

_COLUMNS = "digest, media_type, size, added"


class StoredIndex(Struct, frozen=True):
    """An index of the store. `names` are its references, familiar form; `added` in seconds since the epoch."""

    descriptor: Descriptor
    added: float
    names: tuple[str, ...]


class IndexTable:
    """The rows of indexes. Within a transaction of whoever changes them (store/images)."""

    def __init__(self, db: Database, blobs: Blobs) -> None:
        self._db, self._blobs = db, blobs

    def add(self, index: Descriptor, document: Index, added: float | None = None) -> None:
        """Keep an index whose bytes are in the store."""
        hexadecimal = index.digest.hex
        self._db.execute(
            "INSERT INTO indexes VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING",
            (hexadecimal, document.media_type, index.size, time.time() if added is None else added),
        )
        for entry in document.manifests:
            self._db.execute(
                "INSERT OR IGNORE INTO index_entries VALUES (?, ?)", (entry.descriptor.digest.hex, hexadecimal)
            )

    def forget(self, index: Digest) -> None:
        """Forget an index; what it named stays."""
        self._db.execute("DELETE FROM index_entries WHERE index_digest = ?", (index.hex,))
        self._db.execute("DELETE FROM indexes WHERE digest = ?", (index.hex,))

    def row(self, digest: str) -> Any:
        """The row of the index with this digest, or None."""
        return self._db.row(f"SELECT {_COLUMNS} FROM indexes WHERE digest = ?", (digest,))

    def beginning(self, prefix: str) -> list[str]:
        """The digests that begin with `prefix`, at most two."""
        rows = self._db.rows("SELECT digest FROM indexes WHERE substr(digest, 1, ?) = ? LIMIT 2", (len(prefix), prefix))
        return [digest for (digest,) in rows]

    def rows(self) -> list[Any]:
        """All rows, newest first."""
        return self._db.rows(f"SELECT {_COLUMNS} FROM indexes ORDER BY added DESC, digest")

    def naming(self, manifest: Digest) -> list[str]:
        """The digests of the indexes that name a manifest."""
        rows = self._db.rows(
            "SELECT index_digest FROM index_entries WHERE manifest = ? ORDER BY index_digest", (manifest.hex,)
        )
        return [digest for (digest,) in rows]

    def document(self, index: Descriptor) -> Index:
        """What an index says. Raises BadInputError, NotFoundError when its blob is damaged or gone."""
        found = parse(self._blobs.read(index), index.media_type)
        if not isinstance(found, Index):
            raise BadInputError(f"{index.digest} is no index")
        return found

    def blobs(self, index: Descriptor) -> Iterator[Descriptor]:
        """The index's own blob, and those of what it names besides images, as far as they are here.

        Images need no platform in an index; they are rows of their own all the same, and go when those do.
        """
        yield index
        try:
            document = self.document(index)
        except (BadInputError, NotFoundError):  # a damaged one needs nothing: `cache verify` tells of it
            return
        for entry in document.manifests:
            if (entry.platform is None or not entry.runs) and self._blobs.holds(entry.descriptor):
                yield from self._besides(entry)

    def _besides(self, entry: IndexEntry) -> Iterator[Descriptor]:
        """The blobs of an entry, unless it is an image."""
        try:
            found = parse(self._blobs.read(entry.descriptor), entry.descriptor.media_type)
        except PybuildError:
            found = None
        parts = (found.config, *found.layers) if isinstance(found, Manifest) else ()
        if entry.runs and parts and parts[0].media_type in (OCI_CONFIG, DOCKER_CONFIG):
            return
        yield entry.descriptor
        yield from (blob for blob in parts if self._blobs.holds(blob))
