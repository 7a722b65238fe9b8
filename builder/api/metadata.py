"""What a build has made, as a file of JSON that programs read: --metadata-file, with buildx's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from builder.digest import Digest
from builder.errors import UsageError
from builder.image.descriptor import Descriptor
from builder.image.manifest import IndexEntry, entry_document
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.linux.files import write_atomically


def write(
    path: str, image: Descriptor, platform: Platform | None, config: Digest | None, names: Sequence[Reference]
) -> None:
    """Tell of `image`, a manifest or an index (without a `platform` and a `config`). Raises UsageError."""
    document: dict[str, Any] = {
        "containerimage.descriptor": entry_document(IndexEntry(image, platform)),
        "containerimage.digest": str(image.digest),
    }
    if config is not None:
        document["containerimage.config.digest"] = str(config)
    if names:
        document["image.name"] = ",".join(map(str, names))
    data = msgspec.json.format(msgspec.json.encode(dict(sorted(document.items()))), indent=2)
    try:
        write_atomically(path, data + b"\n")
    except OSError as error:
        raise UsageError(f"--metadata-file {path}: {error.strerror}") from error
