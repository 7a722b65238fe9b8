"""What an exporter is given, and where it writes: files that appear whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from msgspec import Struct

from builder.errors import PybuildError, UsageError
from builder.image.descriptor import BlobSource, Layer
from builder.image.manifest import Manifest
from builder.image.reference import Reference
from builder.sandbox.launcher import Launcher

STDOUT = "-"


class ExportImage(Struct, frozen=True):
    """An image to be written: its manifest, its config's bytes, its layers, its names."""

    manifest: Manifest
    config: bytes
    layers: tuple[Layer, ...]
    names: tuple[Reference, ...] = ()


class Export(Struct, frozen=True):
    """Images and what is needed to read them. `launcher` gives the launcher, started when it is first asked."""

    images: tuple[ExportImage, ...]
    blobs: BlobSource
    root: Path
    launcher: Callable[[], Launcher]


class Exporter(Protocol):
    """Writes one format. `options` are the rest of --output; the destination is `-` for standard output.

    Raises UsageError for an option's bad value. A destination that is a file appears whole or not at all.
    """

    def __call__(self, export: Export, destination: str, options: Mapping[str, str]) -> None:
        """Write."""
        ...


@contextmanager
def written(destination: str) -> Iterator[IO[bytes]]:
    """A file that takes `destination`'s name at the end; a device or pipe, or standard output. Raises UsageError."""
    if destination == STDOUT:
        if sys.stdout.isatty():
            raise UsageError("an archive is not written to a terminal", hint="give dest=FILE, or redirect the output")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # Through a link: a rename would put a file in the link's place.
    target = os.path.realpath(destination)
    temporary = f"{target}.{os.urandom(4).hex()}.tmp"
    try:
        if os.path.exists(destination) and not os.path.isfile(destination) and not os.path.isdir(destination):
            with open(destination, "wb") as file:  # likewise: a device or a pipe is written into
                yield file
            return
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.filename not in (temporary, destination, target, None):
            raise
        raise PybuildError(f"cannot write {destination}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            os.unlink(temporary)
