"""The layers known here: diff ID → content ID, size, and the blob that holds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from builder.digest import Digest
from builder.image.descriptor import Descriptor, Layer
from builder.points import point
from builder.store.db import Database

_COLUMNS = "diff_id, content_id, size, blob, media_type, blob_size"


class LayerTable:
    """Facts of layers. A row may outlive its blob; who uses one checks."""

    def __init__(self, db: Database) -> None:
        self._db = db
        # Layers nobody knew before, by diff ID: what this process has brought in.
        self.new: set[Digest] = set()

    def add(self, layer: Layer) -> None:
        """Keep a layer's facts. One known already gets this blob."""
        if self.get(layer.diff_id) is None:
            self.new.add(layer.diff_id)
        self._db.execute(
            f"INSERT OR REPLACE INTO layers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
            (
                layer.diff_id.hex,
                layer.content_id.hex,
                layer.size,
                layer.blob.digest.hex,
                layer.blob.media_type,
                layer.blob.size,
            ),
        )
        point("layer:added")

    def get(self, diff_id: Digest) -> Layer | None:
        """The layer, or None."""
        return _layer(self._db.row(f"SELECT {_COLUMNS} FROM layers WHERE diff_id = ?", (diff_id.hex,)))

    def by_blob(self, blob: Digest) -> Layer | None:
        """The layer whose blob this is, or None."""
        return _layer(self._db.row(f"SELECT {_COLUMNS} FROM layers WHERE blob = ?", (blob.hex,)))

    def all(self) -> list[Layer]:
        """Every layer."""
        return [layer for row in self._db.rows(f"SELECT {_COLUMNS} FROM layers") if (layer := _layer(row))]

    def bytes(self) -> int:
        """About the bytes all layers take, as blobs and unpacked."""
        return int(self._db.row("SELECT COALESCE(SUM(size + blob_size), 0) FROM layers")[0])

    def forget(self, diff_ids: Iterable[Digest]) -> None:
        """Drop layers' facts. Only garbage collection may."""
        self._db.execute_many("DELETE FROM layers WHERE diff_id = ?", [(d.hex,) for d in diff_ids])


def _layer(row: Any) -> Layer | None:
    if row is None:
        return None
    diff_id, content, size, blob, media_type, blob_size = row
    return Layer(Digest(diff_id), Digest(content), size, Descriptor(media_type, Digest(blob), blob_size))
