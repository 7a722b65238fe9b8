"""Layers of a build merged into one in its image: --squash. The cache keeps them as they are."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from builder.api.session import Session
from builder.digest import Digest
from builder.errors import UsageError, suggestion
from builder.events import Note
from builder.graph.vertex import BaseImage, Graph, Target, VertexId, inputs
from builder.image.config import History, ImageConfig
from builder.image.descriptor import Layer
from builder.solve.result import Stack
from builder.store.memo import SQUASHED

# As a name: nothing lies below what is merged. No stage can be called so.
_NOTHING = "scratch"


class Squash(Struct, frozen=True):
    """What is merged: all above the vertex `above`, which people know as `name`; None: all there is."""

    above: VertexId | None
    name: str

    def __call__(
        self, session: Session, config: ImageConfig, layers: tuple[Layer, ...], stacks: Mapping[int, Stack]
    ) -> tuple[ImageConfig, tuple[Layer, ...]]:
        """The image of `config` and `layers` with those merged; `stacks` are of the vertices.

        Its history stays as it is but for which entries have layers, and ends with one that tells of the merging, as
        Docker's does. Where there is but one layer to merge the image stays as it is.
        """
        kept = 0 if self.above is None else len(stacks[self.above].layers)
        if len(layers) - kept < 2:
            return config, layers
        merged = _merged(session, layers[kept:], layers[:kept])
        image = Digest.of(config.to_json())
        comment = f"merge {image} to {self.name}" if kept else f"create new from {image}"
        history = (*_emptied(config.history, len(layers) - kept), History(created=config.created, comment=comment))
        diff_ids = (*config.diff_ids[:kept], merged.diff_id)
        return replace(config, history=history, diff_ids=diff_ids), (*layers[:kept], merged)


def wanted(text: str, graph: Graph, made: Target) -> Squash:
    """What `--squash=text` means for one target of `graph`; empty: what this build has made. Raises UsageError."""
    if text.lower() == _NOTHING:
        return Squash(None, "")
    if not text:
        vertex = made.top
        while below := inputs(graph.vertices[vertex]):
            vertex = below[0]
        base = graph.vertices[vertex]
        return Squash(vertex, base.reference) if isinstance(base, BaseImage) else Squash(None, "")
    target, *stages = made.chain
    found = next((stage for stage in stages if text.lower() == stage.label or text == str(stage.number)), None)
    if found is None:
        known = [*(stage.label for stage in stages), _NOTHING]
        hint = suggestion(text, known, f"it can be {', '.join(known)}")
        raise UsageError(f"--squash={text}: the stage {target.label} does not begin as such a one", hint=hint)
    return Squash(found.top, found.label)


def _merged(session: Session, layers: tuple[Layer, ...], below: tuple[Layer, ...]) -> Layer:
    store = session.store
    words = [*(layer.diff_id.hex for layer in below), "", *(layer.diff_id.hex for layer in layers)]
    key = Digest.of("\n".join(words).encode()).hex
    known = store.memo.get(SQUASHED, key)
    found = None if known is None else store.layer(Digest(known.decode()))
    if found is None:
        # lazy: only when it is not known; it brings all that unpacks
        from builder.snapshots.layer import squashed

        found = session.launcher().call(squashed, None, store.root, layers, below).result()
        store.layers.add(found)
        store.memo.put(SQUASHED, key, found.diff_id.hex.encode())
        session.emit(Note(f"merged {len(layers)} layers"))
    return found


def _emptied(history: tuple[History, ...], layers: int) -> tuple[History, ...]:
    """`history` without the newest `layers` of the layers its entries have."""
    left, found = layers, []
    for entry in reversed(history):
        if not entry.empty_layer and left:
            left -= 1
            entry = replace(entry, empty_layer=True)
        found.append(entry)
    return tuple(reversed(found))
