"""What a store takes on disk, by kind and by layer; the kinds add up to `du` of its directory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from builder.digest import Digest
from builder.linux.files import disk_bytes
from builder.store.open import Store

_KINDS = {
    "blobs": "blobs",
    "snapshots": "unpacked layers",
    "cachemounts": "cache mounts",
    "containers": "containers",
    "failed": "failed steps",
    "logs": "step logs",
    "tmp": "in the making",
}
_REST = "database and index"


class Item(Struct, frozen=True):
    """Something directly in a kind's directory, or with an empty name that directory itself. Bytes as du(1) counts."""

    kind: str
    name: str
    bytes: int


class UsageRow(Struct, frozen=True):
    """One kind: how many entries it has, and the bytes their blocks take, each inode once.

    `shared` of them are in layers and blobs that several images or cached steps have, `unique` are the others.
    """

    kind: str
    count: int
    bytes: int
    shared: int
    unique: int


class LayerUse(Struct, frozen=True):
    """A layer: the bytes of its blob and of its unpacked files; who has it: image names (or IDs), places of steps."""

    diff_id: str
    blob: int
    unpacked: int
    images: tuple[str, ...]
    steps: tuple[str, ...]


class Usage(Struct, frozen=True):
    """What the store takes by kind, and its layers, the largest first."""

    kinds: tuple[UsageRow, ...]
    layers: tuple[LayerUse, ...]


def items(root: Path) -> list[Item]:
    """All that is in the store at `root`. Runs where its files' IDs are mapped: a launcher's child."""
    seen: set[tuple[int, int]] = set()
    found = [Item(_REST, "", _own(str(root)))]
    for entry in sorted(os.scandir(root), key=lambda e: e.name):
        kind = _KINDS.get(entry.name)
        if kind is None:
            found.append(Item(_REST, entry.name, disk_bytes(entry.path, seen)))
            continue
        below = f"{entry.path}/sha256" if entry.name == "blobs" else entry.path
        found.append(Item(kind, "", _own(entry.path) + (_own(below) if below != entry.path else 0)))
        found += [Item(kind, name, disk_bytes(f"{below}/{name}", seen)) for name in sorted(os.listdir(below))]
    return found


def usage(store: Store, found: Iterable[Item]) -> Usage:
    """The use of what `items` found."""
    found = tuple(found)
    layers = _layers(store, {item.name: item.bytes for item in found if item.kind in ("blobs", "unpacked layers")})
    shared = _shared(store, layers)
    rows: dict[str, list[Item]] = {kind: [] for kind in (*_KINDS.values(), _REST)}
    for item in found:
        rows[item.kind].append(item)
    return Usage(
        tuple(_row(kind, each, shared) for kind, each in rows.items() if each),
        tuple(sorted(layers, key=lambda layer: layer.blob + layer.unpacked, reverse=True)),
    )


def _row(kind: str, found: list[Item], shared: frozenset[str]) -> UsageRow:
    total = sum(item.bytes for item in found)
    several = sum(item.bytes for item in found if item.name in shared)
    return UsageRow(kind, sum(bool(item.name) for item in found), total, several, total - several)


def _layers(store: Store, sizes: Mapping[str, int]) -> list[LayerUse]:
    images: dict[Digest, list[str]] = {}
    everything = store.images.all()
    facts = store.images.facts(everything)
    for image in everything:
        if image.manifest.digest in facts:  # a damaged image has no layers that could be told
            called = (*store.images.called(image), image.config.hex[:12])[0]
            for diff_id in facts[image.manifest.digest].diff_ids:
                images.setdefault(diff_id, []).append(called)
    steps: dict[Digest, list[str]] = {}
    for diff_id, place in store.records.places():
        steps.setdefault(diff_id, []).append(place)
    return [
        LayerUse(
            layer.diff_id.hex,
            sizes.get(layer.blob.digest.hex, 0),
            sizes.get(layer.diff_id.hex, 0),
            tuple(images.get(layer.diff_id, ())),
            tuple(steps.get(layer.diff_id, ())),
        )
        for layer in store.layers.all()
    ]


def _shared(store: Store, layers: list[LayerUse]) -> frozenset[str]:
    """The names of blobs and snapshots that several have. Equal steps of one place are two all the same."""
    several = {layer.diff_id for layer in layers if len(layer.images) + len(layer.steps) > 1}
    blobs = {layer.blob.digest.hex for layer in store.layers.all() if layer.diff_id.hex in several}
    return frozenset(several | blobs)


def _own(path: str) -> int:
    """The bytes of a directory without what is in it."""
    return os.lstat(path).st_blocks * 512
