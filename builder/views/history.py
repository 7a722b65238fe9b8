"""An image's history with the size of each layer, newest first, as `docker history` shows it."""

from __future__ import annotations

from msgspec import Struct

from builder.image.config import ImageConfig
from builder.image.descriptor import Layer


class HistoryRow(Struct, frozen=True):
    """One step of an image; `size` in bytes of its layer's tar, 0 for a step without a layer."""

    created: str | None
    created_by: str
    size: int
    comment: str


def history(config: ImageConfig, layers: tuple[Layer, ...]) -> list[HistoryRow]:
    """The rows of an image; layers no history entry tells of come as rows of their own."""
    left = list(layers)
    rows = []
    for entry in config.history:
        size = left.pop(0).size if not entry.empty_layer and left else 0
        rows.append(HistoryRow(entry.created, entry.created_by, size, entry.comment))
    rows += [HistoryRow(None, "", layer.size, "") for layer in left]
    return rows[::-1]
