"""The database made anew where it is damaged or gone: images from index.json and their manifests, layers from their
blobs, records from what can still be read of the old file. Nothing that cannot be proved by a digest is taken over.

    <root>/pybuild.db.new       the new one being made; it appears by rename
    <root>/pybuild.db.damaged   the old one, kept in case
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import PybuildError
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import LARGEST, Index, Manifest, parse
from builder.image.mediatypes import OCI_MANIFEST, REF_NAME, compression_of
from builder.image.reference import Reference
from builder.keys.preimage import key_of
from builder.linux.files import fsync_directory
from builder.points import point
from builder.readied import readied
from builder.store.blobs import NAME, Blobs, store_errors
from builder.store.db import Database
from builder.store.images import Images
from builder.store.layers import LayerTable
from builder.store.leases import Leases
from builder.store.records import CacheRecord, Records

DAMAGED = "pybuild.db.damaged"
_FILE, _NEW = "pybuild.db", "pybuild.db.new"
_BESIDE = ("-wal", "-shm")


class FoundImage(Struct, frozen=True):
    """An image as its blobs tell of it, and the names index.json has for it."""

    manifest: Descriptor
    document: Manifest
    names: tuple[Reference, ...] = ()


class FoundIndex(Struct, frozen=True):
    """An index of images as its blob tells of it, and the names index.json has for it."""

    index: Descriptor
    document: Index
    names: tuple[Reference, ...] = ()


def documents_of(root: Path) -> list[FoundImage | FoundIndex]:
    """The images and indexes index.json names, and the images those indexes name, whose manifests are there.

    All manifests and indexes there are where it cannot be read.
    """
    blobs = Blobs(root)
    try:
        top = parse((root / "index.json").read_bytes())
        assert isinstance(top, Index)
        listed = [entry.descriptor for entry in top.manifests]
    except (OSError, PybuildError, AssertionError):
        listed = [Descriptor(OCI_MANIFEST, digest, size) for digest, size in blobs.all() if size <= LARGEST]
    found: dict[Digest, FoundImage | FoundIndex] = {}
    for descriptor in listed:
        _note(blobs, descriptor, found)
    for index in [each for each in found.values() if isinstance(each, FoundIndex)]:
        for entry in index.document.images:
            if entry.descriptor.digest not in found:
                _note(blobs, replace(entry.descriptor, annotations=()), found)
    return list(found.values())


def _note(blobs: Blobs, descriptor: Descriptor, found: dict[Digest, FoundImage | FoundIndex]) -> None:
    with suppress(PybuildError, OSError):
        document = parse(blobs.read(descriptor), descriptor.media_type)
        before = found.get(descriptor.digest)
        names = (*(before.names if before else ()), *_names(descriptor))
        plain = Descriptor(document.media_type, descriptor.digest, descriptor.size)
        if isinstance(document, Index):
            found[descriptor.digest] = FoundIndex(plain, document, names)
            return
        for layer in document.layers:
            compression_of(layer.media_type)  # what has none is an attestation or the like
        found[descriptor.digest] = FoundImage(plain, document, names)


def _names(descriptor: Descriptor) -> Iterator[Reference]:
    for key, value in descriptor.annotations:
        if key == REF_NAME:
            with suppress(PybuildError):
                yield Reference.parse(value).tagged()


def layer_blobs(root: Path, images: Iterable[FoundImage]) -> list[Descriptor]:
    """Every blob that may be a layer; with the media type its image has for it, else an empty one."""
    documents: set[Digest] = set()
    known: dict[Digest, Descriptor] = {}
    for image in images:
        documents |= {image.manifest.digest, image.document.config.digest}
        known.update((layer.digest, layer) for layer in image.document.layers)
    return [
        Descriptor(known[digest].media_type if digest in known else "", digest, size)
        for digest, size in Blobs(root).all()
        if digest not in documents
    ]


def records_of(root: Path) -> list[CacheRecord]:
    """The records that can still be read, from either end of their table, and whose pre-image hashes to their key."""
    path = next((p for p in (root / _FILE, root / DAMAGED) if p.exists() and p.stat().st_size), None)
    found: dict[str, CacheRecord] = {}
    if path is None:
        return []
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            rows = connection.execute(f"SELECT * FROM records ORDER BY key {order}")
            names = [column for column, *_ in rows.description]
            for row in rows:
                with suppress(msgspec.ValidationError, TypeError, KeyError):
                    record = _record(dict(zip(names, row, strict=True)))
                    found[record.key.hex] = record
    return list(found.values())


def _record(values: dict[str, Any]) -> CacheRecord:
    """A record of a row, also of an older pybuild's. Raises TypeError, KeyError or ValidationError if it is damaged."""
    for name in ("key", "diff_id"):
        if not NAME.fullmatch(values[name]):
            raise TypeError(name)
        values[name] = {"hex": values[name]}
    values["preimage"] = bytes(values["preimage"])
    inputs = str(values.get("inputs", ""))
    values["inputs"] = tuple(inputs.split("\n")) if inputs else ()
    record = msgspec.convert(values, readied(CacheRecord), builtin_types=(bytes,))
    if key_of(record.preimage) != record.key:
        raise TypeError("key")
    return record


def rebuild(
    root: Path, documents: Sequence[FoundImage | FoundIndex], layers: Sequence[Layer], records: Iterable[CacheRecord]
) -> int:
    """Put a new database in the damaged one's place; gives how many records it has. Nobody else uses the store."""
    for end in ("", *_BESIDE):
        (root / f"{_NEW}{end}").unlink(missing_ok=True)
    kept = 0
    known = {layer.diff_id for layer in layers}
    db = Database(root / _NEW)
    with closing(db):
        table, blobs = LayerTable(db), Blobs(root)
        kept_images = Images(root, db, blobs, table, Leases(root))
        with db.transaction(durable=True):
            for layer in layers:
                table.add(layer)
            for record in records:
                if record.diff_id in known:
                    Records(db).add(record)
                    kept += 1
            for found in documents:
                if isinstance(found, FoundIndex):
                    added = os.stat(blobs.path(found.index.digest)).st_mtime
                    kept_images.restore_index(found.index, found.document, added, found.names)
                    continue
                added = os.stat(blobs.path(found.manifest.digest)).st_mtime
                kept_images.restore(found.manifest, found.document.config.digest, added, found.names)
    with store_errors(root):
        _replace(root)
    return kept


def _replace(root: Path) -> None:
    point("rebuild:ready")
    for end in ("", *_BESIDE):
        if (root / f"{_FILE}{end}").exists():
            os.replace(root / f"{_FILE}{end}", root / f"{DAMAGED}{end}")
    point("rebuild:aside")
    os.replace(root / _NEW, root / _FILE)
    fsync_directory(root)
