"""What an exporter is given, and where it writes: files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from msgspec import Struct

from builder import spans
from builder.errors import PybuildError, UsageError
from builder.events import Emit, ignore
from builder.image.descriptor import Annotations, BlobSource, Descriptor, Layer
from builder.image.manifest import IndexEntry, Manifest
from builder.image.reference import Reference
from builder.linux.files import write_all
from builder.linux.writeback import Writeback
from builder.store.open import Store

if TYPE_CHECKING:
    from builder.registry.endpoints import Registries
    from builder.sandbox.launcher import Launcher
    from builder.signing.keys import PrivateKey

STDOUT = "-"
_PIECE = 1 << 20


class Attestation(Struct, frozen=True):
    """What is told of an image, as BuildKit stores it: a manifest's bytes, and the bytes of its config and layers."""

    manifest: bytes
    blobs: tuple[bytes, ...]


# Gives what is told of the image with a manifest: it names that, and an exporter may give it another one.
Attest = Callable[[Descriptor], Attestation]


class ExportImage(Struct, frozen=True):
    """An image to be written: its manifest, its config's bytes, its layers, its names.

    `data` are the manifest's bytes as they were made elsewhere: they are written where nothing of it changes. None:
    those of `manifest`. What `attest` gives goes into the index beside it, in formats that have one.
    """

    manifest: Manifest
    config: bytes
    layers: tuple[Layer, ...]
    names: tuple[Reference, ...] = ()
    data: bytes | None = None
    attest: Attest | None = None


class ExportIndex(Struct, frozen=True):
    """Images under one name, one for each platform, to be written with the index that says so.

    `images` are those that are here. Without `entries` the index is made of them and of their attestations, in this
    order. With `entries`, as for an index that was made elsewhere and whose bytes are `data`, it has these: each
    names one of `images`, one of `extra` (manifests beside images, such as attestations), or what is not here.
    Where an exporter gives images another form the index has only `images`, and what they `attest`.
    """

    images: tuple[ExportImage, ...]
    names: tuple[Reference, ...] = ()
    annotations: Annotations = ()
    entries: tuple[IndexEntry, ...] = ()
    extra: tuple[Attestation, ...] = ()
    data: bytes | None = None


class Export(Struct, frozen=True):
    """Images and the store that they are read from.

    `images` are such as stand alone; those of `indexes` are not among them. `launcher` gives the launcher, started when
    it is first asked; `registries` likewise, for what goes to them, which is signed with the key `sign`; `emit` is told
    how far that is.
    """

    images: tuple[ExportImage, ...]
    store: Store
    launcher: Callable[[], Launcher]
    indexes: tuple[ExportIndex, ...] = ()
    registries: Callable[[], Registries] | None = None
    emit: Emit = ignore
    sign: PrivateKey | None = None

    @property
    def blobs(self) -> BlobSource:
        """Where their blobs are."""
        return self.store.blobs

    @property
    def root(self) -> Path:
        """The store's directory."""
        return self.store.root

    def all(self) -> tuple[ExportImage, ...]:
        """Every image, also those of indexes."""
        return (*self.images, *(image for index in self.indexes for image in index.images))


class Exporter(Protocol):
    """Writes one format. `options` are the rest of --output; the destination is `-` for standard output.

    Gives what was written where that is an image or an index with a digest. Raises UsageError for an option's bad
    value. A destination that is a file appears whole or not at all.
    """

    def __call__(self, export: Export, destination: str, options: Mapping[str, str]) -> Descriptor | None:
        """Write."""
        ...


class Out:
    """A file, a device or a pipe that is written into."""

    def __init__(self, fd: int) -> None:
        self._fd, self._writeback = fd, Writeback(fd)

    def write(self, data: bytes) -> int:
        """Take all of `data`."""
        write_all(self._fd, data)
        self._writeback.wrote(len(data))
        return len(data)

    def is_file(self) -> bool:
        """Whether it is a file, into which writing goes on whatever others do."""
        return stat.S_ISREG(os.fstat(self._fd).st_mode)

    def pour(self, pipe: IO[bytes], moved: Callable[[int], object] | None = None) -> None:
        """Take all that comes through `pipe`, of which nothing was read yet, without reading it where that goes.

        `moved` is told of bytes that were taken.
        """
        try:
            while count := os.splice(pipe.fileno(), self._fd, _PIECE):
                self._writeback.wrote(count)
                if moved is not None:
                    moved(count)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            # What is opened for appending, and some devices, take no pages (splice(2)).
            while data := pipe.read(_PIECE):
                self.write(data)


class _Stdout(Out):
    """Standard output, whose trouble is not the store's. Who stops reading it is no trouble."""

    def write(self, data: bytes) -> int:
        with self._told():
            return super().write(data)

    def pour(self, pipe: IO[bytes], moved: Callable[[int], object] | None = None) -> None:
        with self._told():
            super().pour(pipe, moved)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise PybuildError(f"cannot write to standard output: {error.strerror}") from error


@contextmanager
def written(destination: str) -> Iterator[Out]:
    """A file that takes `destination`'s name at the end; a device or pipe, or standard output. Raises UsageError."""
    if destination == STDOUT:
        if sys.stdout.isatty():
            raise UsageError("an archive is not written to a terminal", hint="give dest=FILE, or redirect the output")
        sys.stdout.flush()
        yield _Stdout(sys.stdout.fileno())
        return
    # Through a link: a rename would put a file in the link's place.
    target = os.path.realpath(destination)
    temporary = f"{target}.{os.urandom(4).hex()}.tmp"
    try:
        if os.path.exists(destination) and not os.path.isfile(destination) and not os.path.isdir(destination):
            with open(destination, "wb", buffering=0) as file:  # likewise: a device or a pipe is written into
                yield Out(file.fileno())
            return
        with open(temporary, "xb", buffering=0) as file:
            yield Out(file.fileno())
            with spans.span("sync"):
                os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        if error.filename not in (temporary, destination, target, None):
            raise
        raise PybuildError(f"cannot write {destination}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            os.unlink(temporary)
