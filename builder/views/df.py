"""What the store takes by kind, as `docker system df` shows it: all of it, and what is not in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from builder.digest import Digest
from builder.linux.files import disk_bytes
from builder.store.imagefacts import ImageFacts
from builder.store.images import StoredImage
from builder.store.open import FAILED, Store
from builder.store.prunable import Entry

_MEASURED = ("snapshots", "containers", "cachemounts", FAILED)


class Kind(Struct, frozen=True):
    """One kind: how many there are, how many are in use, the bytes of all, and of those that are not in use."""

    type: str
    total: int
    active: int
    size: int
    reclaimable: int


class ImageUse(Struct, frozen=True):
    """An image: bytes of all its layers, of those other images have too, of its own; how many containers it has.

    `names` are those it is called by, also as one of an index.
    """

    id: str
    names: tuple[str, ...]
    added: float
    size: int
    shared: int
    unique: int
    containers: int


class Measured(Struct, frozen=True):
    """Bytes on the disk: of layers by diff ID (blob and files), and of directories below the root by path."""

    layers: Mapping[Digest, int]
    paths: Mapping[str, int]

    def of(self, layers: Iterable[Digest]) -> int:
        """Bytes of `layers`, each once."""
        return sum(self.layers.get(diff_id, 0) for diff_id in set(layers))

    def below(self, directory: str, names: Collection[str] | None = None) -> int:
        """Bytes of what is directly in `directory`, all of it or only `names`."""
        return sum(
            size
            for path, size in self.paths.items()
            for above, _, name in [path.rpartition("/")]
            if above == directory and (names is None or name in names)
        )


def trees(root: Path) -> dict[str, int]:
    """The bytes of each snapshot, container, cache mount and failed step, by its path below `root`.

    Runs where their files' IDs are mapped: a launcher's child.
    """
    found: dict[str, int] = {}
    for directory in _MEASURED:
        for path in (root / directory).iterdir() if (root / directory).is_dir() else ():
            found[f"{directory}/{path.name}"] = disk_bytes(str(path))
    return found


def measured(store: Store, paths: Mapping[str, int]) -> Measured:
    """The bytes of layers and directories, given those of `trees`."""
    blobs = {digest: -(-size // 4096) * 4096 for digest, size in store.blobs.all()}
    layers = {
        layer.diff_id: blobs.get(layer.blob.digest, 0) + paths.get(f"snapshots/{layer.diff_id.hex}", 0)
        for layer in store.layers.all()
    }
    return Measured(layers, paths)


def images(store: Store, sizes: Measured, users: Collection[str]) -> tuple[Kind, list[ImageUse]]:
    """The images; `users` are the image IDs of containers."""
    everything = store.images.all()
    facts = store.images.facts(everything)
    stacks = {image: _stack(store, facts, image) for image in everything}
    held: dict[Digest, int] = {}
    for stack in stacks.values():
        for diff_id in stack:
            held[diff_id] = held.get(diff_id, 0) + 1
    containers = Counter(users)
    rows = [
        _image(image, store.images.called(image), stack, sizes, held, containers[str(image.config)])
        for image, stack in stacks.items()
    ]
    active = [image for image in everything if str(image.config) in users]
    needed = {diff_id for image in active for diff_id in stacks[image]}
    size = sizes.of(held)
    return Kind("Images", len(everything), len(active), size, size - sizes.of(needed)), rows


def _stack(store: Store, facts: Mapping[Digest, ImageFacts], image: StoredImage) -> frozenset[Digest]:
    found = facts.get(image.manifest.digest) or store.images.read_facts(image)
    return frozenset(found.diff_ids)


def _image(
    image: StoredImage,
    names: tuple[str, ...],
    stack: frozenset[Digest],
    sizes: Measured,
    held: Mapping[Digest, int],
    containers: int,
) -> ImageUse:
    shared = sizes.of(diff_id for diff_id in stack if held[diff_id] > 1)
    size = sizes.of(stack)
    return ImageUse(str(image.config), names, image.added, size, shared, size - shared, containers)


def cache(entries: Collection[Entry]) -> Kind:
    """The cached steps. Layers that images and the like have count there."""
    free = {entry.layer: entry.size for entry in entries if entry.reclaimable}
    busy = {entry.layer for entry in entries if entry.in_use}
    gain = sum(size for layer, size in free.items() if layer not in busy)
    return Kind("Build Cache", len(entries), sum(e.in_use for e in entries), sum(free.values()), gain)


def directories(type: str, directory: str, sizes: Measured, names: Collection[str], active: Collection[str]) -> Kind:
    """A kind whose things are directories below `directory` of the root."""
    size = sizes.below(directory)
    return Kind(type, len(names), len(active), size, size - sizes.below(directory, active))
