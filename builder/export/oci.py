"""OCI image layouts: as an archive, or as a directory (`tar=false`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Self

from builder.digest import Writer
from builder.errors import UsageError
from builder.export.base import STDOUT, Export, Out, written
from builder.export.layout import Directory, Layout, Target
from builder.export.shape import OPTIONS as SHAPE
from builder.export.shape import Shape, boolean, sparing
from builder.image.descriptor import Descriptor
from builder.layers.tarstream import TarStream
from builder.threads import Beside

OPTIONS = (*SHAPE, "tar")
# Bytes that are handed on at once, and how many such pieces wait at most.
_PIECE, _AHEAD = 512 << 10, 8


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
    with written(destination) as out, _ahead(out) as sink:
        tar = TarStream(sink)
        found = write(tar)
        tar.finish()
    return found


def _ahead(out: Out) -> AbstractContextManager[Writer]:
    # Into a pipe whose reader does not read a thread would write for ever, and could not be canceled.
    return _Ahead(out) if out.is_file() else nullcontext(out)


class _Ahead:
    """Has what is written go on to `out` by a thread: blobs are read, and checked, while what came before is written.

    A context: at its end all of it is written, or given up.
    """

    def __init__(self, out: Out) -> None:
        self._out, self._beside = out, Beside(self._on, _AHEAD)
        self._parts, self._held = list[bytes](), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._beside.put(self._parts)
                self._beside.end()
        finally:
            self._beside.stop()

    def write(self, data: bytes) -> None:
        """Take all of `data`; small pieces wait for others. Raises what writing earlier ones did."""
        self._parts.append(data)
        self._held += len(data)
        if self._held >= _PIECE:
            self._beside.put(self._parts)
            self._parts, self._held = [], 0

    def _on(self, parts: Sequence[bytes]) -> None:
        for part in parts:
            self._out.write(part)
