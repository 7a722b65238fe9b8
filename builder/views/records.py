"""The cache in Buildfile terms: which line of which file made which layer."""

from __future__ import annotations

from msgspec import Struct

from builder.store.layers import LayerTable
from builder.store.prunable import GIT, REGULAR
from builder.store.records import Records


class RecordRow(Struct, frozen=True):
    """One cached step, of a type in store/prunable.

    `size`: bytes of its layer's tar; times in seconds since the epoch; `seconds`: what it cost.
    """

    key: str
    place: str
    stage: str
    step: str
    size: int
    created: float
    last_used: float
    hits: int
    seconds: float
    type: str = REGULAR

    @property
    def id(self) -> str:
        """Its key, as filters call it."""
        return self.key


def records(table: Records, layers: LayerTable) -> list[RecordRow]:
    """Every cached step, by file and line."""
    sizes = {layer.diff_id: layer.size for layer in layers.all()}
    found = sorted(table.figures(), key=lambda r: (r.buildfile, r.line, r.created))
    return [
        RecordRow(
            r.key.hex,
            f"{r.buildfile}:{r.line}",
            r.stage,
            r.name,
            sizes.get(r.diff_id, 0),
            r.created,
            r.last_used,
            r.hits,
            r.seconds,
            GIT if r.git else REGULAR,
        )
        for r in found
    ]
