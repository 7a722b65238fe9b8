"""One cached step: what its key is made of, in words; its layer; the files of both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from builder.digest import Digest
from builder.graph.remote import redacted
from builder.keys.diff import decoded, told
from builder.keys.listing import entries, printable
from builder.lang.secretnames import names_secret
from builder.layers import compress
from builder.layers.entry import Entry
from builder.store.open import Store
from builder.store.records import CacheRecord

WITHHELD = "(withheld)"
_IMAGE = "image:"


class Input(Struct, frozen=True):
    """What a step stood on: a cached step by its key, or a base image by its manifest; `known`: it is still here."""

    name: str
    digest: str
    known: bool


class KeyFile(Struct, frozen=True):
    """A file of a build context that the key is made of. `content` is a digest, or where a link leads."""

    path: str
    kind: str
    mode: str
    content: str


class LayerFile(Struct, frozen=True):
    """An entry of the layer. `mode` in octal; `size` in bytes; `link` what a link names."""

    path: str
    kind: str
    mode: str
    uid: int
    gid: int
    size: int
    link: str


class Shown(Struct, frozen=True):
    """A record. Times in seconds since the epoch; sizes in bytes, of the layer's tar and of its blob.

    `preimage` is what the key is the sha256 of, but for values that are withheld: fields by name. `taken` are the
    files its key is made of, and `files` those of its layer; None where nobody asked, or they are not kept.
    """

    key: str
    place: str
    stage: str
    step: str
    created: float
    last_used: float
    hits: int
    seconds: float
    inputs: tuple[Input, ...]
    preimage: dict[str, Any]
    diff_id: str
    content_id: str
    size: int
    blob: str
    media_type: str
    blob_size: int
    taken: tuple[KeyFile, ...] | None = None
    files: tuple[LayerFile, ...] | None = None


def shown(store: Store, record: CacheRecord, *, files: bool) -> Shown:
    """All there is to say of `record`. Raises BadInputError for a damaged blob when its files are asked for."""
    layer = store.layers.get(record.diff_id)
    return Shown(
        record.key.hex,
        f"{record.buildfile}:{record.line}",
        record.stage,
        record.name,
        record.created,
        record.last_used,
        record.hits,
        record.seconds,
        tuple(_input(store, identity) for identity in record.inputs),
        _preimage(record.preimage),
        str(record.diff_id),
        "" if layer is None else str(layer.content_id),
        0 if layer is None else layer.size,
        "" if layer is None else str(layer.blob.digest),
        "" if layer is None else layer.blob.media_type,
        0 if layer is None else layer.blob.size,
        _taken(store, record) if files else None,
        tuple(_files(store, record.diff_id)) if files else None,
    )


def _input(store: Store, identity: str) -> Input:
    if identity.startswith(_IMAGE):
        name, _, digest = identity.removeprefix(_IMAGE).rpartition("@")
        return Input(name, digest, any(str(image.manifest.digest) == digest for image in store.images.all()))
    record = store.records.get(Digest(identity)) if identity else None
    return Input("scratch" if not identity else "" if record is None else record.name, identity, record is not None)


def _preimage(image: bytes) -> dict[str, Any]:
    fields = dict(decoded(image))
    if isinstance(fields.get("env"), list):
        fields["env"] = [[name, WITHHELD if names_secret(told(name)) else value] for name, value in fields["env"]]
    if isinstance(fields.get("secrets"), list):
        fields["secrets"] = [[name, WITHHELD] for name, _ in fields["secrets"]]
    if isinstance(fields.get("argv"), list):
        fields["argv"] = [redacted(told(word)) for word in fields["argv"]]
    return fields


def _taken(store: Store, record: CacheRecord) -> tuple[KeyFile, ...] | None:
    """None when a list is not kept."""
    found: list[KeyFile] = []
    for digest in map(str, decoded(record.preimage).get("outside", ())):
        listing = store.listings.get(Digest(digest.removeprefix("sha256:")))
        if listing is None:
            return None
        found += [
            KeyFile(printable(path), e.kind, e.mode, printable(e.content)) for path, e in entries(listing).items()
        ]
    return tuple(found)


def _files(store: Store, diff_id: Digest) -> Iterator[LayerFile]:
    layer = store.layer(diff_id)
    if layer is None:
        return
    # lazy: who lists records reads no layer
    from builder.layers.tarread import read_entries

    for entry, _ in read_entries(compress.plain(store.blobs.open(layer.blob))):
        yield _file(entry)


def _file(entry: Entry) -> LayerFile:
    path, link = printable(entry.path), printable(entry.link)
    return LayerFile(path, str(entry.kind), f"{entry.mode:o}", entry.uid, entry.gid, entry.size, link)
