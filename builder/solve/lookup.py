"""Hit or miss: what a vertex is looked up by, and whether the store has its layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from msgspec import Struct

from builder.digest import Digest
from builder.graph.vertex import Vertex, VertexId, inputs
from builder.image.descriptor import Layer
from builder.keys.preimage import key_of, preimage
from builder.solve import ops
from builder.solve.result import Stack
from builder.sources.context import Context
from builder.sources.remotes import Remotes
from builder.store.open import Store
from builder.store.records import CacheRecord


class Reason(StrEnum):
    """Why a look-up missed."""

    ABSENT = "absent"  # there is no record of the key
    LOST = "lost"  # there is, but its layer is no longer in the store
    REFUSED = "refused"  # nobody looked: the user asked for a run


class Sought(Struct, frozen=True):
    """What a vertex is looked up by: its key and that key's pre-image; and what it takes from outside the graph."""

    key: Digest
    image: bytes
    chosen: tuple[ops.Outside, ...]


class Hit(Struct, frozen=True):
    """A record whose layer is in the store."""

    record: CacheRecord
    layer: Layer


class Lookup(Struct, frozen=True):
    """Looks vertices up in `store`. `no_cache`: finds none."""

    store: Store
    contexts: Mapping[str, Context]
    remotes: Remotes
    no_cache: bool

    def sought(self, vertex: Vertex, stack_of: Callable[[VertexId], Stack]) -> Sought:
        """What to look `vertex` up by, its inputs being solved. Hashes files, asks servers, and raises what they do."""
        chosen = ops.outside(vertex, self.contexts, self.remotes)
        chains: dict[int, Digest] = {v: stack_of(v).chain for v in inputs(vertex)}
        image = preimage(vertex, chains, [selection.digest for selection in chosen])
        return Sought(key_of(image), image, chosen)

    def find(self, sought: Sought) -> Hit | Reason:
        """What the store has for `sought`, or why it is no hit."""
        if self.no_cache:
            return Reason.REFUSED
        record = self.store.records.get(sought.key)
        if record is None:
            return Reason.ABSENT
        layer = self.store.layers.get(record.diff_id)
        return Reason.LOST if layer is None or not self.store.blobs.holds(layer.blob) else Hit(record, layer)
