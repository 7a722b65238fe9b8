"""Signatures of images, kept beside them in a repository as cosign keeps them (signing/cosign)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest, parse_manifest
from builder.image.reference import Reference
from builder.registry.client import Repository
from builder.signing import cosign

if TYPE_CHECKING:
    from builder.signing.keys import PublicKey


def check(
    repository: Repository, name: Reference, digests: Sequence[Digest], keys: Sequence[PublicKey]
) -> tuple[Digest, PublicKey]:
    """Have one of the manifests `digests` be signed, with one of the keys, as an image of `name`; gives both.

    `digests` name the same image: its manifest, and the index that names the manifest. Raises BadInputError with what
    speaks against each, RegistryError.
    """
    reasons = []
    for digest in dict.fromkeys(digests):
        there = signatures(repository, digest)
        if there is None:
            reasons.append(f"manifest {digest} has no signature")
            continue
        for key in keys:
            reason = cosign.objection(name, digest, key, there, lambda blob: _payload(repository, blob))
            if reason is None:
                return digest, key
            reasons.append(f"of the signatures of manifest {digest}, {reason}")
    raise BadInputError(
        f"{name.familiar()} is not signed by whom it must be: {'; '.join(dict.fromkeys(reasons))}",
        hint="is it the right key, and the right image?",
    )


def signatures(repository: Repository, digest: Digest) -> Manifest | None:
    """The image of signatures of a manifest; None when there is none. Raises BadInputError, RegistryError."""
    try:
        data, media_type = repository.manifest(cosign.tag_of(digest))
    except NotFoundError:
        return None
    return parse_manifest(data, media_type)


def _payload(repository: Repository, blob: Descriptor) -> bytes:
    with repository.blob(blob) as reader:
        return b"".join(iter(lambda: reader.read(blob.size + 1), b""))
