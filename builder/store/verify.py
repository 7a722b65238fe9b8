"""Does the store say nothing but what is so: database, records, names, images, index; what nothing refers to.

What only those who may read all files can check, layers and their snapshots, is in snapshots/verify.py.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError, PybuildError
from builder.image.descriptor import Layer
from builder.image.manifest import parse
from builder.image.reference import Reference
from builder.keys.preimage import key_of
from builder.store.blobs import NAME
from builder.store.catalog import StoredImage
from builder.store.indexes import StoredIndex
from builder.store.open import Store


class Finding(Struct, frozen=True):
    """Something that is not as it should be. `kind` and `name` say what, `problem` what is wrong with it.

    `harmless`: nothing is damaged, it only takes room. `repair` is what was done about it; empty while nothing was.
    """

    kind: str
    name: str
    problem: str
    harmless: bool = False
    repair: str = ""


def database_problems(store: Store) -> list[str]:
    """What SQLite finds wrong with its file (PRAGMA integrity_check, at most 100 things)."""
    try:
        lines = [str(line) for (line,) in store.db.rows("PRAGMA integrity_check")]
    except PybuildError as error:
        return [error.message]
    return [] if lines == ["ok"] else lines


def record_findings(store: Store, layers: Mapping[Digest, Layer]) -> Iterator[Finding]:
    """Records whose pre-image does not hash to their key, or whose layer is not known."""
    for record in store.records.all():
        if key_of(record.preimage) != record.key:
            yield Finding("record", record.key.hex, "what it was made of does not hash to its key")
        elif record.diff_id not in layers:
            yield Finding("record", record.key.hex, f"its layer {record.diff_id} is not known")


def name_findings(store: Store) -> Iterator[Finding]:
    """Names of images and indexes that are not there, and names that cannot be names."""
    images = {image.manifest.digest.hex for image in store.images.all()}
    images |= {index.descriptor.digest.hex for index in store.images.indexes()}
    for name, manifest in store.db.rows("SELECT name, manifest FROM refs ORDER BY name"):
        if manifest not in images:
            yield Finding("name", name, f"there is no image {manifest[:12]} that it could name")
            continue
        try:
            Reference.parse(name)
        except PybuildError as error:
            yield Finding("name", name, error.message)


def image_problem(store: Store, image: StoredImage, layers: Mapping[Digest, Layer]) -> str:
    """Why an image cannot be used, damage in its layers' blobs aside; empty when it can."""
    try:
        manifest = store.images.manifest(image)
        config = store.images.config(image)
    except PybuildError as error:
        return error.message
    if manifest.config.digest != image.config:
        return f"its config is {manifest.config.digest}, not {image.config}"
    if len(config.diff_ids) != len(manifest.layers):
        return f"it has {len(manifest.layers)} layers and a config of {len(config.diff_ids)}"
    unknown = [f"layer {diff_id}" for diff_id in config.diff_ids if diff_id not in layers]
    unknown += [f"blob {layer.digest}" for layer in manifest.layers if not store.blobs.holds(layer)]
    return f"its {unknown[0]} is not in the store, or not whole" if unknown else ""


def list_problem(store: Store, index: StoredIndex) -> str:
    """Why an index cannot be used; empty when it can. What it names need not be here, but what is here is whole."""
    try:
        store.images.document(index)
    except PybuildError as error:
        return error.message
    return ""


def index_findings(store: Store) -> Iterator[Finding]:
    """How index.json differs from what the database says. To be behind is no damage: a crash came between."""
    name = "index.json"
    try:
        data = (store.root / name).read_bytes()
        if data != store.images.index_file.text():
            parse(data)
            yield Finding("index", name, "it is behind the database; the next build or tag writes it", harmless=True)
    except OSError as error:
        yield Finding("index", name, f"it cannot be read: {error.strerror}")
    except BadInputError as error:
        yield Finding("index", name, error.message)


def unneeded(store: Store, needed: frozenset[Digest]) -> list[tuple[Digest, int]]:
    """Blobs nothing refers to, with their sizes."""
    return [(digest, size) for digest, size in store.blobs.all() if digest not in needed]


def unknown_snapshots(root: Path, layers: Collection[Digest]) -> list[str]:
    """What lies in snapshots/ and is no layer's."""
    known = {digest.hex for digest in layers}
    return sorted(n for n in os.listdir(root / "snapshots") if n not in known and NAME.fullmatch(n))


def strange_names(root: Path) -> list[str]:
    """What lies among the blobs and the snapshots under a name that is no digest; paths from the root."""
    found = []
    for place in ("blobs/sha256", "snapshots"):
        found += [f"{place}/{name}" for name in os.listdir(root / place) if not NAME.fullmatch(name)]
    return sorted(found)
