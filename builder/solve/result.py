"""What solving yields: the stack of a vertex, the config of the finished image, and where its history came from.

The config stays as BuildKit writes it, so lines of the Buildfile are remembered beside it, by the image's ID: what is
pushed and pulled again is known, in whatever compression. Of a base that was built here its own lines are taken over.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import NotFoundError
from builder.graph.vertex import BaseImage, Graph, Target, inputs
from builder.image.config import History, ImageConfig, timestamp
from builder.image.descriptor import Layer
from builder.keys.preimage import NOTHING, chained
from builder.readied import readied
from builder.sources.selection import Selection
from builder.store.memo import PLACES
from builder.store.open import Store
from builder.store.records import CacheRecord

if TYPE_CHECKING:
    from builder.solve.remote import Remote

# A Buildfile's name and a line; ("", 0) where that is not known.
_Place = tuple[str, int]
_UNKNOWN: _Place = ("", 0)


class Stack(Struct, frozen=True):
    """The layers of a vertex, bottom first, their content chain, and when each was made here.

    `times` are seconds since the epoch, None for the layers of a base image. `since` is from when on what is in a
    layer is new (see layers/dating), None likewise.
    """

    layers: tuple[Layer, ...] = ()
    chain: Digest = NOTHING
    times: tuple[float | None, ...] = ()
    since: tuple[int | None, ...] = ()

    def on_top(self, layer: Layer, made: float | None, since: int | None) -> Stack:
        """The stack with one more layer."""
        chain = chained(self.chain, layer.content_id)
        return Stack((*self.layers, layer), chain, (*self.times, made), (*self.since, since))


class Solution(Struct, frozen=True):
    """A solved graph: the stacks of its targets, how many vertices were cached and ran.

    `saved` are the seconds that those which were cached took when they ran. `hits` are the records that were found,
    `taken` what their steps take from build contexts.
    """

    stacks: tuple[Stack, ...]
    hits: tuple[CacheRecord, ...]
    taken: tuple[Selection, ...]
    cached: int
    ran: int
    saved: float


def finished_config(config: ImageConfig, stack: Stack, metadata_time: float, epoch: int | None = None) -> ImageConfig:
    """The config of a solved graph: diff IDs, and the times of its history.

    An entry with a layer is as old as its layer's cache record, so that a rebuild from the cache is
    the same image; an entry without has the time of the layer below it, or `metadata_time` where no layer of
    this build lies below. The image is as old as its last entry, or as `epoch` (SOURCE_DATE_EPOCH).
    """
    made = [t for t in stack.times if t is not None]
    fresh = sum(1 for h in config.history if h.created is None and not h.empty_layer)
    times = iter(made[-fresh:] if fresh else [])
    history: list[History] = []
    current = metadata_time
    for entry in config.history:
        if entry.created is None:
            if not entry.empty_layer:
                current = next(times, current)
            entry = replace(entry, created=timestamp(current))
        history.append(entry)
    created = history[-1].created if history else timestamp(metadata_time)
    if epoch is not None:
        created = timestamp(epoch)
    return replace(
        config,
        created=created,
        history=tuple(history),
        diff_ids=tuple(layer.diff_id for layer in stack.layers),
    )


def undated_digest(config: ImageConfig, stack: Stack) -> Digest:
    """What the store's memo knows the time of an image by: its config without that."""
    return Digest.of(finished_config(config, stack, 0.0).to_json())


def dated(store: Store, config: ImageConfig, stack: Stack, epoch: int | None, remote: Remote | None) -> ImageConfig:
    """The config with its times. The same steps with the same metadata are the same image, whenever built."""
    if epoch is not None:
        return finished_config(config, stack, epoch, epoch)
    undated = undated_digest(config, stack)
    now = time.time()
    if remote is not None and store.memo.get("created", undated.hex) is None:
        now = remote.created(undated) or now
    first = store.memo.first("created", undated.hex, repr(now).encode())
    if remote is not None:
        remote.say_created(undated, float(first))
    return finished_config(config, stack, float(first))


# --- where a history came from ------------------------------------------------------------------------


def keep_places(store: Store, name: str, graph: Graph, configs: Sequence[ImageConfig]) -> None:
    """Remember where the histories of the images with these `configs` came from, which are of the targets of `graph`.

    `name` is that of the Buildfile.
    """
    shown = name.encode(errors="backslashreplace").decode()
    for target, config in zip(graph.targets, configs, strict=True):
        before = len(target.config.history) - len(target.lines)
        below = _base(store, graph, target, before)
        own = [(shown, line) for line in target.lines]
        key, value = Digest.of(config.to_json()).hex, msgspec.json.encode([*below, *own])
        if store.memo.get(PLACES, key) != value:
            store.memo.put(PLACES, key, value)


def keep_places_of_base(store: Store, base: Digest, made: Digest) -> None:
    """Have an image that was `made` of the one with the ID `base` know what is known of that one's history."""
    value = store.memo.get(PLACES, base.hex)
    if value is not None:
        store.memo.put(PLACES, made.hex, value)


def places_of(store: Store, image: Digest, entries: int) -> list[str]:
    """`Buildfile:3` for each of the `entries` of the history of the image with this ID; empty where it is not known."""
    found = _kept(store, image)[:entries]
    found += [_UNKNOWN] * (entries - len(found))
    return [f"{name}:{line}" if line else "" for name, line in found]


def _base(store: Store, graph: Graph, target: Target, entries: int) -> list[_Place]:
    """The places of the `entries` of the history that are those of the base."""
    vertex = target.top
    while below := inputs(graph.vertices[vertex]):
        vertex = below[0]
    base, found = graph.vertices[vertex], list[_Place]()
    if entries and isinstance(base, BaseImage):
        with suppress(NotFoundError):  # one that is not fetched
            found = _kept(store, store.images.by_manifest(base.manifest).config)[:entries]
    return found + [_UNKNOWN] * (entries - len(found))


def _kept(store: Store, image: Digest) -> list[_Place]:
    value = store.memo.get(PLACES, image.hex)
    if value is None:
        return []
    try:
        return msgspec.json.decode(value, type=readied(list[_Place]))
    except msgspec.MsgspecError:
        return []  # damaged: it is for people only
