"""Descriptors: what points at a blob; and the seams through which blobs travel."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from builder.digest import Digest, Reader, VerifyingReader

# Pairs, not a mapping: values are hashed and sent between processes.
Annotations = tuple[tuple[str, str], ...]


class Descriptor(Struct, frozen=True):
    """Media type, digest and size (bytes) of a blob (OCI descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    annotations: Annotations = ()


class Layer(Struct, frozen=True):
    """One layer as pybuild knows it: the tar's identity, its content's identity, and its blob.

    `diff_id` is the digest of the uncompressed tar, `size` its length in bytes; `content_id`
    leaves times out (docs/decisions: time-free content ID); `blob` is what the store holds.
    """

    diff_id: Digest
    content_id: Digest
    size: int
    blob: Descriptor


class BlobSource(Protocol):
    """Where blobs can be read: the store, a registry, an archive.

    `open` raises NotFoundError when the blob is not there; the reader it gives checks the
    digest as it is read to its end. The caller closes nothing: readers close at their end.
    """

    def open(self, descriptor: Descriptor) -> VerifyingReader:
        """A reader of the blob."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there."""
        ...


class BlobSink(Protocol):
    """Where blobs can be put. `put` is idempotent and atomic: a blob is there whole or not at all.

    It reads `source` to its end, checks `expected` where given (BadInputError) and returns
    (digest, size). Putting what is there already costs the reading and changes nothing.
    """

    def put(self, source: Reader, expected: Digest | None = None) -> tuple[Digest, int]:
        """Read `source` to its end and keep it."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there."""
        ...
