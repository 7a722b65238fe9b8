"""The cache as a list of what could be pruned: steps and cache mounts, each with what would be gained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from builder.digest import Digest
from builder.store.gc import Needed, Trees
from builder.store.open import Store
from builder.store.worth import Candidate

# BuildKit's names of kinds (docker buildx prune --filter type=)
REGULAR, GIT, MOUNT = "regular", "source.git.checkout", "exec.cachemount"
TYPES = (REGULAR, GIT, MOUNT)


class Entry(Struct, frozen=True):
    """A cached step or a cache mount. `id`: the digits of its key, or the mount's name.

    `size` is about what its layer takes, blob and files; `layer` its diff ID's digits. `reclaimable`: no image,
    container or failed step has that layer. `in_use`: something that runs needs it. Times in seconds since the epoch;
    `seconds` is what it cost.
    """

    id: str
    type: str
    place: str
    stage: str
    step: str
    size: int
    layer: str
    reclaimable: bool
    in_use: bool
    created: float
    last_used: float
    hits: int
    seconds: float


def steps(store: Store, needed: Needed, trees: Trees, sizes: Mapping[Digest, int] | None = None) -> list[Entry]:
    """The cached steps, the last used first; `sizes` are their layers' where somebody has measured."""
    unpacked = frozenset(trees.all())
    layers = {layer.diff_id: layer for layer in store.layers.all()}
    found = []
    for record in store.records.figures():
        layer = layers.get(record.diff_id)
        size = 0 if layer is None else layer.blob.size + (layer.size if layer.diff_id in unpacked else 0)
        if sizes is not None:
            size = sizes.get(record.diff_id, size)
        found.append(
            Entry(
                record.key.hex,
                GIT if record.git else REGULAR,
                f"{record.buildfile}:{record.line}",
                record.stage,
                record.name,
                size,
                record.diff_id.hex,
                record.diff_id not in needed.layers,
                layer is not None and needed.uses(layer),
                record.created,
                record.last_used,
                record.hits,
                record.seconds,
            )
        )
    return found


def candidates(entries: Iterable[Entry]) -> list[Candidate]:
    """The layers of reclaimable entries, with the records of each. One of which something that runs has is none."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.reclaimable and not entry.in_use:
            found.setdefault(entry.layer, []).append(entry)
    return [
        Candidate(
            Digest(layer),
            tuple(Digest(entry.id) for entry in group),
            group[0].size,
            max(entry.seconds for entry in group),
            max(entry.last_used for entry in group),
            sum(entry.hits for entry in group),
        )
        for layer, group in found.items()
    ]
