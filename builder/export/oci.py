"""OCI image layouts: as an archive, or as a directory (`tar=false`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from builder.errors import UsageError
from builder.export.base import STDOUT, Export, written
from builder.export.layout import Directory, Layout, Target
from builder.export.shape import OPTIONS as SHAPE
from builder.export.shape import Shape, boolean, sparing
from builder.image.descriptor import Descriptor
from builder.layers.tarstream import TarStream

OPTIONS = (*SHAPE, "tar")


def check(destination: str, options: Mapping[str, str]) -> None:
    """Raises UsageError for what cannot be written."""
    Shape.parse(options)
    if boolean(options, "tar") is False and destination == STDOUT:
        raise UsageError("tar=false needs dest=DIRECTORY")


def asked(export: Export, options: Mapping[str, str]) -> Shape:
    """The shape that `export` is to have."""
    shape = Shape.parse(options)
    return sparing(shape, export) if shape.form and not boolean(options, "force-compression") else shape


def export_oci(export: Export, destination: str, options: Mapping[str, str]) -> Descriptor | None:
    """Write the images as an OCI layout."""
    shape = asked(export, options)

    def write(target: Target) -> Descriptor | None:
        return Layout(export, target, shape).write()

    return into(destination, options, write)


def into(
    destination: str, options: Mapping[str, str], write: Callable[[Target], Descriptor | None]
) -> Descriptor | None:
    """Have `write` write the files of a layout into an archive, or with `tar=false` into a directory."""
    if boolean(options, "tar") is False:
        return write(Directory(destination))
    with written(destination) as out:
        tar = TarStream(out)
        found = write(tar)
        tar.finish()
    return found
