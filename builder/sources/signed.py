"""Whether images are signed by whom they must be, where a key is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from builder.digest import Digest
from builder.errors import BadInputError
from builder.image.reference import Reference
from builder.sources.ingest import Ingest
from builder.store.catalog import digest_of
from builder.store.images import StoredImage
from builder.store.memo import SIGNED

if TYPE_CHECKING:
    from builder.registry.client import Repository


def verify(repository: Repository, name: Reference, digests: Sequence[Digest], ingest: Ingest) -> None:
    """Raise BadInputError when `name` must be signed and none of its `digests` is.

    `digests` are those of its manifest and of the indexes that name that.
    """
    files = ingest.registries.verify_keys(name)
    if files:
        _verify(lambda: repository, name, digests, files, ingest)


def verify_stored(name: Reference, image: StoredImage, ingest: Ingest) -> None:
    """The same for an image that the store has by that name: its registry is asked, unless it was before."""
    named = ingest.store.images.named(str(name.tagged()))
    if named is None:
        raise refuse(name.familiar())
    digests = [digest_of(named), image.manifest.digest]
    _verify(lambda: ingest.registries.repository(name), name, digests, ingest.verify_keys, ingest)


def refuse(reference: str) -> BadInputError:
    """What is not called by a name has no repository, where its signatures would be."""
    return BadInputError(f"{reference} is taken by no name of a registry: whether it is signed cannot be found out")


def _verify(
    repository: Callable[[], Repository],
    name: Reference,
    digests: Sequence[Digest],
    files: Sequence[str],
    ingest: Ingest,
) -> None:
    """What is found is remembered: a signature stays right."""
    # lazy: cryptography takes 40 ms, and few ask for it
    from builder.registry.signatures import check
    from builder.signing.keys import read_public

    keys = [read_public(file) for file in files]
    known = {(key, digest): _memo_key(name, digest, key.pem()) for key in keys for digest in digests}
    if any(ingest.store.memo.get(SIGNED, row) for row in known.values()):
        return
    found, key = check(repository(), name, digests, keys)
    ingest.store.memo.put(SIGNED, known[key, found], b"1")


def _memo_key(name: Reference, digest: Digest, key: bytes) -> str:
    return Digest.of(f"{name.domain}/{name.path}\n{digest}\n".encode() + key).hex
