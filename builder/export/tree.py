"""An image's files without the image: as one flat tar, or as plain files in a directory.

Of several images each has a directory of its platform, as buildx calls it, unless they are to lie in one. What is told
of an image lies in files beside its own (`provenance.json`).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from builder.digest import Digest, Reader
from builder.errors import PybuildError, UsageError
from builder.events import Meter, Work
from builder.export.base import Export, ExportImage, Out, written
from builder.export.shape import boolean, platform_of
from builder.image.attestation import files
from builder.image.descriptor import Descriptor, Layer
from builder.layers.entry import Entry, Kind
from builder.layers.extract import extract_archive
from builder.layers.tarread import Data, read_entries
from builder.layers.tarwrite import copy_layer
from builder.sandbox.launcher import Launcher
from builder.snapshots.tree import merged


def export_tar(export: Export, destination: str, options: Mapping[str, str]) -> None:
    """Write the merged tree as a tar."""
    with written(destination) as out:
        ((directory, image), *more) = placed = _placed(export, options)
        if directory or more or image.attest is not None:
            meter = _meter(export, [image for _, image in placed], destination)
            copy_layer(_together(export, placed, meter), out, "uncompressed")
            meter.end()
        else:
            meter = _meter(export, [image], destination)
            write_tree(export.launcher(), export.root, image.layers, out, meter.add)
            meter.end()


def write_tree(
    launcher: Launcher, root: Path, layers: tuple[Layer, ...], out: Out, moved: Callable[[int], object] | None = None
) -> None:
    """Write the tree that `layers` of the store at `root` show, as a tar. `moved` is told of bytes that are written."""
    with merged(launcher, root, layers) as tree:
        out.pour(tree, moved)


def _meter(export: Export, images: Sequence[ExportImage], destination: str) -> Meter:
    """What is told how far the writing of these trees is: they have about as many bytes as their layers."""
    return Meter(export.emit, Work.EXPORT, destination, sum(layer.size for image in images for layer in image.layers))


def _together(export: Export, images: Sequence[tuple[str, ExportImage]], meter: Meter) -> Iterator[tuple[Entry, Data]]:
    only_one = _OnlyOne()
    for directory, image in images:
        if directory:
            yield Entry(directory, Kind.DIRECTORY, 0o755), Data(_NOTHING, 0, directory)
        with merged(export.launcher(), export.root, image.layers) as tree:
            for entry, data in read_entries(meter.reading(tree), whiteouts=False):
                placed = entry if not directory else _below(directory, entry)
                only_one(placed)
                yield placed, data
        for name, told in _told(image, split=bool(directory) or len(images) == 1):
            entry = Entry(f"{directory}/{name}" if directory else name, Kind.FILE, 0o644, size=len(told))
            only_one(entry)
            yield entry, Data(io.BytesIO(told), len(told), name)


def _told(image: ExportImage, *, split: bool) -> Iterator[tuple[str, bytes]]:
    """What is told of an image, as files by their names; with its platform's where others lie beside them."""
    if image.attest is None:
        return
    data = image.manifest.to_json()
    told = image.attest(Descriptor(image.manifest.media_type, Digest.of(data), len(data)))
    for name, text in files(told.manifest, told.blobs).items():
        stem, extension = os.path.splitext(name)
        yield (name if split else f"{stem}.{_directory(image)}{extension}"), text


def _below(directory: str, entry: Entry) -> Entry:
    link = f"{directory}/{entry.link}" if entry.kind is Kind.HARDLINK else entry.link
    return replace(entry, path=f"{directory}/{entry.path}", link=link)


class _Nothing:
    def read(self, size: int = -1, /) -> bytes:
        return b""


_NOTHING: Reader = _Nothing()


class _OnlyOne:
    """Refuses a file where another image has one: one of them would be lost."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, entry: Entry) -> None:
        if entry.kind is Kind.DIRECTORY:
            return
        if entry.path in self._seen:
            raise UsageError(
                f"/{entry.path} is in the images of several platforms", hint="leave platform-split=false out"
            )
        self._seen.add(entry.path)


def export_local(export: Export, destination: str, options: Mapping[str, str]) -> None:
    """Write the merged tree as files of the caller's own, over what is there.

    As with BuildKit's local exporter: modes and times are kept, owners are not. Devices are left out, and
    so are attributes only root may set.
    """
    only_one = _OnlyOne()

    def change(entry: Entry) -> Entry | None:
        only_one(entry)
        return own(entry)

    placed = _placed(export, options)
    meter = _meter(export, [image for _, image in placed], destination)
    for directory, image in placed:
        path = f"{destination}/{directory}" if directory else destination
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise PybuildError(f"cannot write {path}: {error.strerror}") from error
        with merged(export.launcher(), export.root, image.layers) as tree:
            extract_archive(meter.reading(tree), path, own if directory else change)
        for name, told in _told(image, split=bool(directory) or len(placed) == 1):
            only_one(Entry(name if not directory else f"{directory}/{name}", Kind.FILE))
            with written(f"{path}/{name}") as file:
                file.write(told)
    meter.end()


def _placed(export: Export, options: Mapping[str, str]) -> list[tuple[str, ExportImage]]:
    """Each image with the directory it goes to, empty where there is none."""
    images = export.all()
    split = boolean(options, "platform-split")
    if split is None:
        split = len(images) > 1
    return [(_directory(image) if split else "", image) for image in images]


def _directory(image: ExportImage) -> str:
    return str(platform_of(image)).replace("/", "_")


def own(entry: Entry) -> Entry | None:
    """`entry` as a file of the caller's own: without what only root may make; None for devices."""
    if entry.kind in (Kind.CHAR, Kind.BLOCK):
        return None
    kept = tuple((name, value) for name, value in entry.xattrs if name.startswith("user."))
    return replace(entry, uid=os.geteuid(), gid=os.getegid(), xattrs=kept)
