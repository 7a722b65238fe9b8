"""Which blobs layers are in other compressions than the store's own, by diff ID, compression and level.

What is remembered outlives its blob: a registry may still have that, and then it need not be made again.
"""

from __future__ import annotations

from collections.abc import Iterable

from builder.digest import Digest
from builder.image.descriptor import Descriptor
from builder.image.mediatypes import layer_type
from builder.layers.compress import Form
from builder.store.db import Database


class CompressedTable:
    """Which blob a layer is in a form. The blob may be gone; who uses one checks."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, diff_id: Digest, form: Form) -> Descriptor | None:
        """What the layer was in `form` the last time, or None."""
        row = self._db.row(
            "SELECT digest, size FROM compressed WHERE diff_id = ? AND compression = ? AND level = ?",
            (diff_id.hex, form.compression, form.exact),
        )
        return None if row is None else Descriptor(layer_type(form.compression), Digest(row[0]), row[1])

    def add(self, diff_id: Digest, form: Form, blob: Descriptor) -> None:
        """Remember what a layer is in `form`."""
        self._db.execute_optional(
            "INSERT OR REPLACE INTO compressed VALUES (?, ?, ?, ?, ?, ?)",
            [(diff_id.hex, form.compression, form.exact, blob.digest.hex, blob.size, True)],
        )

    def blobs(self, diff_ids: Iterable[Digest]) -> set[Digest]:
        """The blobs of these layers that are to be kept."""
        wanted = {diff_id.hex for diff_id in diff_ids}
        rows = self._db.rows("SELECT diff_id, digest FROM compressed WHERE kept")
        return {Digest(digest) for diff_id, digest in rows if diff_id in wanted}

    def bytes(self) -> int:
        """About the bytes the kept blobs take."""
        return int(self._db.row("SELECT COALESCE(SUM(size), 0) FROM compressed WHERE kept")[0])

    def release(self) -> None:
        """Let the next collection take the blobs; what they were is still remembered."""
        self._db.execute_optional("UPDATE compressed SET kept = ?", [(False,)])

    def forget_lost(self) -> None:
        """Forget what is of layers that are no longer known. Only garbage collection may."""
        self._db.execute_optional("DELETE FROM compressed WHERE diff_id NOT IN (SELECT diff_id FROM layers)", [()])
