"""What a build has made, as a file of JSON that programs read: --metadata-file, with buildx's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.errors import UsageError
from builder.image.attestation import PROVENANCE_FILE, files
from builder.image.descriptor import Descriptor
from builder.image.manifest import IndexEntry, entry_document
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.linux.files import write_atomically

_PROVENANCE = "buildx.build.provenance"


class Metadata(Struct, frozen=True):
    """What was made: an image, by its manifest, or an index, which has no `platform`; of several images no `config`.

    `provenance` is how the images came about, by the names of the values that tell it.
    """

    image: Descriptor
    platform: Platform | None
    config: Digest | None
    names: Sequence[Reference]
    provenance: Mapping[str, Any]


def provenance(told: Sequence[tuple[Platform | None, bytes, Sequence[bytes]]]) -> dict[str, Any]:
    """The predicates of provenance in attestations, given as manifests and blobs; of several by their platforms."""
    found: dict[str, Any] = {}
    for platform, manifest, blobs in told:
        statement = files(manifest, blobs).get(PROVENANCE_FILE)
        if statement is not None:
            name = _PROVENANCE if platform is None else f"{_PROVENANCE}/{platform}"
            found[name] = msgspec.json.decode(statement)["predicate"]
    return found


def document(made: Metadata) -> dict[str, Any]:
    """What is told of what was made, by buildx's names."""
    found: dict[str, Any] = {
        "containerimage.descriptor": entry_document(IndexEntry(made.image, made.platform)),
        "containerimage.digest": str(made.image.digest),
        **made.provenance,
    }
    if made.config is not None:
        found["containerimage.config.digest"] = str(made.config)
    if made.names:
        found["image.name"] = ",".join(map(str, made.names))
    return dict(sorted(found.items()))


def write(path: str, told: Mapping[str, Any]) -> None:
    """Write what is told. Raises UsageError."""
    data = msgspec.json.format(msgspec.json.encode(told), indent=2)
    try:
        write_atomically(path, data + b"\n")
    except OSError as error:
        raise UsageError(f"--metadata-file {path}: {error.strerror}") from error
