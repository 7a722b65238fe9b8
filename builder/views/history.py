"""An image's history with the size of each layer, newest first, as `docker history` shows it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from builder.image.config import ImageConfig
from builder.image.descriptor import Layer


class HistoryRow(Struct, frozen=True):
    """One step of an image; `size` in bytes of its layer's tar, 0 for a step without a layer.

    `place` is the line it came from, `Buildfile:3`, or empty.
    """

    created: str | None
    created_by: str
    size: int
    comment: str
    place: str = ""


def history(config: ImageConfig, layers: tuple[Layer, ...], places: Sequence[str]) -> list[HistoryRow]:
    """The rows of an image; layers no history entry tells of come as rows of their own.

    `places` are those of the entries of its history.
    """
    left = list(layers)
    rows = []
    for entry, place in zip(config.history, places, strict=True):
        size = left.pop(0).size if not entry.empty_layer and left else 0
        rows.append(HistoryRow(entry.created, entry.created_by, size, entry.comment, place))
    rows += [HistoryRow(None, "", layer.size, "") for layer in left]
    return rows[::-1]
