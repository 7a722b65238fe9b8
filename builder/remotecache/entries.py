"""What a shared cache knows, by name: steps and the layers they made, facts of base images' layers, small results.

A name is a sha256 (`step`'s is its key; others are made of a kind and what is asked). Entries are msgpack: most of them
is digests, which no compression makes smaller. What is read is bounded and checked before anything believes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from builder.digest import Digest
from builder.errors import BadInputError
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import layer_type
from builder.layers.compress import NAMES
from builder.readied import readied

# Of the entries of one shard: as many as fit into what a registry takes as a manifest.
LARGEST = 4 << 20
DAY = 86400
_SHA256 = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Size = Annotated[int, Meta(ge=0, lt=1 << 50)]
_Day = Annotated[int, Meta(ge=0, lt=1 << 20)]
# Seconds since the epoch that a config can name, and how long a step can take.
LATEST, _LONGEST = float(1 << 33), 1e8


class Packed(Struct, frozen=True, array_like=True):
    """The blob a layer is in: digest, bytes, compression as in layers/compress."""

    digest: _SHA256
    size: _Size
    compression: str

    @classmethod
    def of(cls, blob: Descriptor, compression: str) -> Packed:
        """That of a blob."""
        return cls(bytes.fromhex(blob.digest.hex), blob.size, compression)

    @property
    def descriptor(self) -> Descriptor:
        """It as images name it."""
        return Descriptor(layer_type(self.compression), Digest(self.digest.hex()), self.size)


class Step(Struct, frozen=True, array_like=True, tag="s"):
    """What a step made: diff ID, content ID and plain size of its layer; when, in how many seconds; if by a command.

    `used` is the day it was last of use, since the epoch. Without `blob` the layer is not in the cache: who needs its
    files makes them, who needs but its content ID need not.
    """

    used: _Day
    diff_id: _SHA256
    content_id: _SHA256
    size: _Size
    created: float
    seconds: float
    run: bool
    blob: Packed | None = None

    @property
    def layer(self) -> Layer:
        """The layer; without a blob in the cache, one of no bytes that nothing has."""
        diff_id = Digest(self.diff_id.hex())
        blob = Descriptor("", diff_id, 0) if self.blob is None else self.blob.descriptor
        return Layer(diff_id, Digest(self.content_id.hex()), self.size, blob)


class Fact(Struct, frozen=True, array_like=True, tag="f"):
    """Of a layer of a base image, by diff ID: its content ID and plain size. Its blob is where the image is."""

    used: _Day
    content_id: _SHA256
    size: _Size


class Said(Struct, frozen=True, array_like=True, tag="v"):
    """A small result, such as the digest of what is taken of a stage."""

    used: _Day
    value: Annotated[str, Meta(max_length=4096)]


Entry = Step | Fact | Said
Entries = Mapping[Digest, Entry]


def named(kind: str, what: str) -> Digest:
    """The name of an entry that is no step's."""
    return Digest.of(f"pybuild cache {kind} {what}".encode())


def encoded(entries: Entries) -> bytes:
    """As they are kept; the same entries give the same bytes."""
    return msgspec.msgpack.encode({bytes.fromhex(name.hex): entries[name] for name in sorted(entries)})


def decoded(data: bytes) -> dict[Digest, Entry]:
    """Read what `encoded` wrote. Raises BadInputError for what it never writes."""
    if len(data) > LARGEST:
        raise BadInputError(f"entries of {len(data)} bytes: more than {LARGEST} are not read")
    try:
        found = msgspec.msgpack.decode(data, type=readied(dict[_SHA256, Entry]))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadInputError(f"its entries cannot be read: {error}") from error
    for entry in found.values():
        if isinstance(entry, Step):
            _check(entry)
    return {Digest(name.hex()): entry for name, entry in found.items()}


def _check(step: Step) -> None:
    for number, most in ((step.created, LATEST), (step.seconds, _LONGEST)):
        if not (math.isfinite(number) and 0 <= number < most):
            raise BadInputError(f"a step of it has the time {number}")
    if step.blob is not None and step.blob.compression not in NAMES:
        raise BadInputError("a layer of it is compressed in a way that is not known")
