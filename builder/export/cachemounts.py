"""Cache mounts as archives: into a layout directory, which keeps the blobs it has, or as a tar of such a layout."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError, PybuildError
from builder.export.base import STDOUT, written
from builder.image.cachemount import ID, About, manifest
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, IndexEntry
from builder.image.mediatypes import OCI_MANIFEST, REF_NAME
from builder.layers.tarstream import TarStream
from builder.linux.syscalls import sync_file_system
from builder.snapshots.cachearchive import Given
from builder.sources.cachearchive import Found, entries, found
from builder.sources.files import DirectoryFiles
from builder.sources.layout import index_of
from builder.store.open import refuse_all_but_layouts

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
# Packs the cache mount, given the blobs that are known, and hands on each that is not.
Put = Callable[[Digest, bytes], object]
Pack = Callable[[Mapping[str, Descriptor], Put], Given]


class Exported(Struct, frozen=True):
    """What was written: blobs that are new and their bytes, all packs and theirs, and the paths that were left out."""

    new: int
    new_bytes: int
    packs: int
    bytes: int
    left_out: tuple[str, ...]


def export(about: About, pack: Pack, destination: str) -> Exported:
    """Write what `pack` packs to `destination`: a directory when it is one or ends in `/`, `-`, or a file.

    A file appears whole or not at all. A directory keeps the other cache mounts it has; what it no longer needs of
    them is removed. Raises UsageError, PybuildError, BadInputError.
    """
    if destination != STDOUT and (destination.endswith("/") or os.path.isdir(destination)):
        return _to_directory(about, pack, destination.rstrip("/") or "/")
    new: list[int] = []
    with written(destination) as out:
        tar = TarStream(out)
        tar.add("oci-layout", _LAYOUT)

        def put(digest: Digest, data: bytes) -> None:
            new.append(len(data))
            tar.add(_blob(digest), data)

        given = pack({}, put)
        entry = _named(about, given, put)
        tar.add("index.json", Index((entry,)).to_json())
        tar.finish()
    return _told(given, new)


def _to_directory(about: About, pack: Pack, path: str) -> Exported:
    new: list[int] = []
    with _layout(path) as fd:
        files = DirectoryFiles(path)
        try:
            index = index_of(files) if os.path.exists(f"{path}/index.json") else []
            there = list(_readable(files)) if index else []
        finally:
            files.close()

        def put(digest: Digest, data: bytes) -> None:
            if not _has(path, digest, len(data)):
                new.append(len(data))
                _write(f"{path}/{_blob(digest)}", data)

        given = pack(_known(path, there), put)
        entry = _named(about, given, put)
        others = [e for e in index if dict(e.descriptor.annotations).get(REF_NAME) != about.name]
        sync_file_system(fd)  # what the index names must be there after a power cut
        with written(f"{path}/index.json") as out:
            out.write(Index((*others, entry)).to_json())
        # What others have put here may name anything, and an empty index may be that of a store.
        if index and len(there) == len(index):
            _clear(path, [*others, entry])
    return _told(given, new)


def _named(about: About, given: Given, put: Put) -> IndexEntry:
    """Put config and manifest, and give the manifest's entry of the index."""
    config = given.contents.to_json()
    document = manifest(config, given.blobs)
    put(Digest.of(config), config)
    put(Digest.of(document), document)
    names = ((ID, about.id), (REF_NAME, about.name))
    return IndexEntry(Descriptor(OCI_MANIFEST, Digest.of(document), len(document), annotations=names))


def _told(given: Given, new: list[int]) -> Exported:
    blobs = dict.fromkeys(given.blobs)
    return Exported(len(new), sum(new), len(given.blobs), sum(blob.size for blob in blobs), given.left_out)


def _blob(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


@contextmanager
def _layout(path: str) -> Iterator[int]:
    """A descriptor of the layout directory `path`, made when it is missing, that no other export has meanwhile."""
    try:
        refuse_all_but_layouts(path)
        os.makedirs(f"{path}/blobs/sha256", exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise PybuildError(f"cannot write {path}: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if not os.path.exists(f"{path}/oci-layout"):
            with written(f"{path}/oci-layout") as out:
                out.write(_LAYOUT)
        yield fd
    finally:
        os.close(fd)


def _readable(files: DirectoryFiles) -> Iterator[Found]:
    """The cache mounts of a layout, but for such as are damaged: they are written anew."""
    for entry in entries(files):
        with suppress(BadInputError):
            yield found(files, entry)


def _known(path: str, there: list[Found]) -> dict[str, Descriptor]:
    """The blobs a layout has, by the plain digest of their pack."""
    known = {}
    for each in there:
        for pack, blob in zip(each.archive.contents.packs, each.archive.blobs, strict=True):
            if _has(path, blob.digest, blob.size):
                known[pack.diff_id] = blob
    return known


def _has(path: str, digest: Digest, size: int) -> bool:
    try:
        return os.stat(f"{path}/{_blob(digest)}").st_size == size
    except FileNotFoundError:
        return False


def _write(path: str, data: bytes) -> None:
    temporary = f"{path}.{os.urandom(4).hex()}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        raise PybuildError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def _clear(path: str, index: list[IndexEntry]) -> None:
    """Remove the blobs that no cache mount of the layout needs any more."""
    files = DirectoryFiles(path)
    try:
        kept = {blob.hex for entry in index for blob in _needed(files, entry)}
    finally:
        files.close()
    for name in os.listdir(f"{path}/blobs/sha256"):
        if name not in kept:
            os.unlink(f"{path}/blobs/sha256/{name}")


def _needed(files: DirectoryFiles, entry: IndexEntry) -> Iterator[Digest]:
    one = found(files, entry)
    yield one.manifest
    yield one.config
    yield from (blob.digest for blob in one.archive.blobs)
