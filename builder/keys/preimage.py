"""Vertex + content of its inputs → canonical pre-image → key (docs/decisions: key format).

The pre-image is made of all fields of the vertex but those its class leaves out (graph/vertex.py), so a field
that is added cannot be forgotten. It is JSON with sorted names; the key is its sha256.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.graph.vertex import Keyed, Vertex
from builder.image.platform import Platform

VERSION = 1
NOTHING = Digest.of(b"")


def chained(parent: Digest, content_id: Digest) -> Digest:
    """The content chain of a stack: its parent's chain with one layer's content ID on top."""
    return Digest.of(f"{parent} {content_id}".encode())


def preimage(
    vertex: Vertex,
    chains: Mapping[int, Digest],
    outside: Sequence[Digest] = (),
    taken: Mapping[Keyed, Digest] = MappingProxyType({}),
    marks: Sequence[tuple[str, str]] = (),
) -> bytes:
    """The canonical pre-image of `vertex`.

    `chains` gives the content chain of each input by vertex ID; `outside` are the digests of what it takes from
    outside the graph (files of a build context, what a URL gives), in the order it names them. `taken` has, for the
    parts of the vertex (itself, a CopyFrom, a BindMount) that take only some files of an input, the digest of those:
    it stands there in place of the chain. `marks` stand for the values of secrets that count, by id: they mean
    something in one store only (store/localkey), and so do a pre-image and a key with them. Raises TypeError for a
    field whose value has no canonical form.
    """
    values = _Inputs(chains, taken)
    document = {"v": VERSION, "op": type(vertex).__name__.lower(), **values.fields(vertex)}
    if outside:
        document["outside"] = [str(digest) for digest in outside]
    if marks:
        document["secrets"] = values.canonical(tuple(marks))
    return msgspec.json.encode(document, order="sorted")


def key_of(image: bytes) -> Digest:
    """The key of a pre-image."""
    return Digest.of(image)


class _Inputs(Struct, frozen=True):
    """What inputs are worth in a pre-image."""

    chains: Mapping[int, Digest]
    taken: Mapping[Keyed, Digest]

    def fields(self, part: Keyed) -> dict[str, Any]:
        """The fields of `part` that count, by name."""
        found: dict[str, Any] = {}
        left_out = part.left_out()
        for name in part.__struct_fields__:
            value = getattr(part, name)
            if name in left_out:
                continue
            if name not in part.INPUTS:
                found[name] = self.canonical(value)
            elif value is not None:
                some = self.taken.get(part) if name == part.TAKES else None
                found[name] = str(some or self.chains[value])
        return found

    def canonical(self, value: object) -> Any:
        """The one form a value has in JSON. Raises TypeError for one that has none."""
        match value:
            case Platform() | Digest():
                return str(value)
            case Keyed():
                return self.fields(value)
            case tuple():
                return [self.canonical(item) for item in value]
            case bytes():
                return str(Digest.of(value))
            case str():
                # Names in a file system need not be UTF-8; JSON must be. An object cannot be taken for a string.
                return (
                    value
                    if value.isascii() or _is_unicode(value)
                    else {"hex": value.encode(errors="surrogateescape").hex()}
                )
            case bool() | int() | None:
                return value
            case _:
                raise TypeError(f"no canonical form for {type(value).__name__}")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
