"""An image's files without the image: as one flat tar, or as plain files in a directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import IO, cast

from msgspec.structs import replace

from builder.errors import PybuildError, UsageError
from builder.export.base import STDOUT, Export, written
from builder.layers.entry import Entry, Kind
from builder.layers.extract import extract_archive
from builder.snapshots.tree import merged

OPTIONS: tuple[str, ...] = ()


def export_tar(export: Export, destination: str, options: Mapping[str, str]) -> None:
    """Write the merged tree as a tar."""
    (image,) = export.images
    with written(destination) as out, merged(export.launcher(), export.root, image.layers) as tree:
        shutil.copyfileobj(cast("IO[bytes]", tree), out, 1 << 20)


def export_local(export: Export, destination: str, options: Mapping[str, str]) -> None:
    """Write the merged tree as files of the caller's own, over what is there.

    As with BuildKit's local exporter: modes and times are kept, owners are not. Devices are left out, and
    so are attributes only root may set.
    """
    if destination == STDOUT:
        raise UsageError("type=local needs dest=DIRECTORY")
    (image,) = export.images
    try:
        os.makedirs(destination, exist_ok=True)
    except OSError as error:
        raise PybuildError(f"cannot write {destination}: {error.strerror}") from error
    with merged(export.launcher(), export.root, image.layers) as tree:
        extract_archive(tree, destination, own)


def own(entry: Entry) -> Entry | None:
    """`entry` as a file of the caller's own: without what only root may make; None for devices."""
    if entry.kind in (Kind.CHAR, Kind.BLOCK):
        return None
    kept = tuple((name, value) for name, value in entry.xattrs if name.startswith("user."))
    return replace(entry, uid=os.geteuid(), gid=os.getegid(), xattrs=kept)
