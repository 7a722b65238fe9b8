"""Images that lie in files: OCI image layouts (a directory or an archive of one) and `docker save` archives.

Names inside an archive are only ever looked up, never written to disk.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol, cast

import msgspec
from msgspec import Struct

from builder.digest import Digest, Reader, VerifyingReader
from builder.errors import BadInputError, NotFoundError, PybuildError, UsageError
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import LARGEST, Index, IndexEntry, Manifest, parse, parse_manifest
from builder.image.mediatypes import FULL_NAME, INDEXES, REF_NAME
from builder.image.platform import Platform, host
from builder.image.reference import Reference
from builder.layers import compress
from builder.linux.paths import open_beneath
from builder.sources.ingest import Ingest, check_layers
from builder.store.images import StoredImage
from builder.store.indexes import StoredIndex

_DEEPEST_INDEX = 4


class Files(Protocol):
    """A set of files, opened by their name relative to its top."""

    def open(self, name: str) -> IO[bytes] | None:
        """The file, or None when there is none of that name."""
        ...


class DirectoryFiles:
    """Files below a directory; no symlink leads out of it."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self, name: str) -> IO[bytes] | None:
        """The file `name`."""
        try:
            return os.fdopen(open_beneath(self._fd, name, os.O_RDONLY | os.O_NONBLOCK), "rb")
        except OSError:
            return None

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._fd)


class ArchiveFiles:
    """Files of a plain tar that can be read at any place."""

    def __init__(self, file: IO[bytes]) -> None:
        try:
            self._tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - the caller closes the file
            self._names = {member.name.removeprefix("./"): member for member in self._tar}
        except (tarfile.TarError, OSError, ValueError) as error:
            raise BadInputError(f"not an image archive: {error}") from error

    def open(self, name: str) -> IO[bytes] | None:
        """The file `name`; links inside the archive are followed, as old `docker save` makes them."""
        member = self._names.get(name)
        if member is None:
            return None
        try:
            return self._tar.extractfile(member)
        except (KeyError, RecursionError, tarfile.TarError) as error:
            raise BadInputError(f"{name} of the archive is a link that leads nowhere") from error


@contextmanager
def archive(file: IO[bytes], spool: str) -> Iterator[ArchiveFiles]:
    """The files of an image archive, plain or compressed. What cannot be read at any place (a pipe, or
    compressed data) is first copied to a nameless file in the directory `spool`. Raises BadInputError.
    """
    peekable = compress.Peekable(file)
    compression = compress.detect(peekable.peek(6))
    if compression == "uncompressed" and file.seekable():
        file.seek(0)
        yield ArchiveFiles(file)
        return
    # lazy: only compressed or piped archives
    import shutil
    import tempfile

    with tempfile.TemporaryFile(dir=spool) as plain:
        shutil.copyfileobj(cast("IO[bytes]", compress.reader(compression, peekable)), plain, 1 << 20)
        plain.seek(0)
        yield ArchiveFiles(plain)


def load(files: Files, platform: Platform | None, ingest: Ingest) -> list[StoredImage | StoredIndex]:
    """All images of an archive into the store, with their names; None: indexes with all that they name.

    Else of each index only the image for `platform`; the index is kept all the same. Raises BadInputError.
    """
    if files.open("index.json") is not None and files.open("oci-layout") is not None:
        return [_load_named(files, entry, platform, ingest) for entry in index_of(files)]
    if files.open("manifest.json") is not None:
        return [*_load_docker(files, ingest)]
    raise BadInputError(
        "not an image archive: it has neither index.json nor manifest.json",
        hint="the archive of a root file system is taken in by: pybuild import FILE NAME",
    )


def load_layout(
    path: str, tag: str | None, platform: Platform, ingest: Ingest, digest: Digest | None = None
) -> StoredImage:
    """The image `tag` or `digest` of an OCI layout directory; its only one when both are None. Raises NotFoundError."""
    try:
        files = DirectoryFiles(path)
    except OSError as error:
        raise NotFoundError(f"no OCI layout at {path}: {error.strerror}") from error
    try:
        entries = index_of(files)
        if digest is not None:
            named = [e for e in entries if e.descriptor.digest == digest]
        elif tag is not None:
            # The whole name, else the tag alone.
            named = [e for e in entries if dict(e.descriptor.annotations).get(REF_NAME) == tag]
            named = named or [e for e in entries if tag in _tags(e.descriptor)]
        else:
            named = entries if len(entries) == 1 else [e for e in entries if "latest" in _tags(e.descriptor)]
        if not named:
            there = sorted({t for e in entries for t in _tags(e.descriptor)})
            hint = f"it has {', '.join(there)}" if there else "its images have no names"
            raise NotFoundError(f"the OCI layout {path} has no image {digest or tag or 'latest'}", hint=hint)
        if len({e.descriptor.digest for e in named}) > 1:
            there = sorted(dict(e.descriptor.annotations)[REF_NAME] for e in named)
            raise UsageError(
                f"the OCI layout {path} has several images {tag or 'latest'}", hint=f"name one of {', '.join(there)}"
            )
        return _load_entry(files, named[0], platform, ingest, ())
    finally:
        files.close()


# --- OCI -----------------------------------------------------------------------------------------


def index_of(files: Files) -> list[IndexEntry]:
    """What the index of an OCI layout names. Raises BadInputError."""
    found = parse(_bytes(files, "index.json", LARGEST))
    if not isinstance(found, Index):
        raise BadInputError("index.json of the OCI layout is no index")
    return list(found.manifests)


def _tags(descriptor: Descriptor) -> set[str]:
    name = dict(descriptor.annotations).get(REF_NAME, "")
    return {name, name.rpartition(":")[2]} - {""}


def _names(descriptor: Descriptor) -> tuple[Reference, ...]:
    annotations = dict(descriptor.annotations)
    full, short = annotations.get(FULL_NAME), annotations.get(REF_NAME, "")
    name = full or (short if ":" in short or "/" in short else "")  # a bare tag names nothing
    try:
        return (Reference.parse(name).tagged(),) if name else ()
    except PybuildError:
        return ()


def _load_entry(
    files: Files,
    entry: IndexEntry,
    platform: Platform,
    ingest: Ingest,
    names: tuple[Reference, ...],
    depth: int = 0,
) -> StoredImage:
    data = blob_of(files, entry.descriptor, LARGEST)
    found = parse(data, entry.descriptor.media_type)
    if isinstance(found, Index):
        if depth == _DEEPEST_INDEX:
            raise BadInputError("the archive's indexes are nested too deep")
        chosen = IndexEntry(found.select(platform))
        return _load_entry(files, chosen, platform, ingest, names, depth + 1)
    _load_parts(files, found, ingest)
    return ingest.store.images.add(found, data, names)


def _load_parts(files: Files, manifest: Manifest, ingest: Ingest) -> None:
    """An image's config and layers."""
    check_layers(manifest)
    config = blob_of(files, manifest.config, LARGEST)
    ingest.parts(config, [_layer(files, blob, ingest) for blob in manifest.layers], manifest)


def _load_named(
    files: Files, entry: IndexEntry, platform: Platform | None, ingest: Ingest
) -> StoredImage | StoredIndex:
    """What an archive has under a name. Of an index, what the archive lacks of it is not loaded."""
    names = _names(entry.descriptor)
    data = blob_of(files, entry.descriptor, LARGEST)
    index = parse(data, entry.descriptor.media_type)
    if not isinstance(index, Index) or any(each.descriptor.media_type in INDEXES for each in index.manifests):
        return _load_entry(files, entry, host() if platform is None else platform, ingest, names)
    wanted = [each.descriptor for each in index.images if each.loadable and _there(files, each.descriptor)]
    if platform is not None or not wanted:
        wanted = [index.select(host() if platform is None else platform)]
    images = []
    for descriptor in wanted:
        manifest_data = blob_of(files, descriptor, LARGEST)
        manifest = parse_manifest(manifest_data, descriptor.media_type)
        _load_parts(files, manifest, ingest)
        images.append((manifest, manifest_data))
    for each in index.manifests:
        if not each.runs and _there(files, each.descriptor):
            _load_beside(files, each.descriptor, ingest)
    descriptor = Descriptor(index.media_type, entry.descriptor.digest, len(data))
    return ingest.store.images.add_index(descriptor, data, names, images)


def _load_beside(files: Files, descriptor: Descriptor, ingest: Ingest) -> None:
    """What an index names that is no image, such as an attestation: blobs that nobody looks into."""
    data = blob_of(files, descriptor, LARGEST)
    found = parse(data, descriptor.media_type)
    blobs = (found.config, *found.layers) if isinstance(found, Manifest) else ()
    for blob in blobs:
        ingest.store.blobs.put(open_blob(files, blob), blob.digest)
    ingest.store.blobs.put_bytes(data)


def _there(files: Files, blob: Descriptor) -> bool:
    file = files.open(f"blobs/sha256/{blob.digest.hex}")
    if file is not None:
        file.close()
    return file is not None


def _layer(files: Files, blob: Descriptor, ingest: Ingest) -> Layer:
    known = ingest.known(blob)
    if known is not None:
        return known
    return ingest.layer(open_blob(files, blob), blob, f"layer {blob.digest.short}")


def open_blob(files: Files, blob: Descriptor) -> VerifyingReader:
    """A reader of a blob of an OCI layout. Raises BadInputError when it is not there."""
    file = files.open(f"blobs/sha256/{blob.digest.hex}")
    if file is None:
        raise BadInputError(f"the archive lacks blob {blob.digest}")
    return VerifyingReader(_Whole(file), blob.digest, blob.size)


def blob_of(files: Files, blob: Descriptor, limit: int) -> bytes:
    """A blob of an OCI layout of at most `limit` bytes, whole. Raises BadInputError."""
    if blob.size > limit:
        raise BadInputError(f"blob {blob.digest} has {blob.size} bytes: more than {limit} are not read")
    return open_blob(files, blob).read()


def _bytes(files: Files, name: str, limit: int) -> bytes:
    file = files.open(name)
    data = b"" if file is None else _Whole(file).read(limit + 1)
    if not data or len(data) > limit:
        raise BadInputError(f"{name} of the archive is missing, empty or too large")
    return data


class _Whole:
    """A file of an archive, whose being cut off is the archive's fault."""

    def __init__(self, file: Reader) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except (tarfile.TarError, OSError) as error:
            raise BadInputError(f"the archive is cut off or damaged: {error}") from error


# --- docker save ---------------------------------------------------------------------------------


class _Saved(Struct, frozen=True):
    Config: str
    Layers: list[str]
    RepoTags: list[str] | None = None


def _load_docker(files: Files, ingest: Ingest) -> list[StoredImage]:
    try:
        saved = msgspec.json.decode(_bytes(files, "manifest.json", LARGEST), type=list[_Saved])
    except msgspec.DecodeError as error:
        raise BadInputError(f"manifest.json of the archive cannot be read: {error}") from error
    return [_load_saved(files, image, ingest) for image in saved]


def _load_saved(files: Files, saved: _Saved, ingest: Ingest) -> StoredImage:
    config = _bytes(files, saved.Config, LARGEST)
    diff_ids = ImageConfig.from_json(config).diff_ids
    if len(diff_ids) != len(saved.Layers):
        raise BadInputError(f"the archive has {len(saved.Layers)} layers where its config names {len(diff_ids)}")
    layers = [_saved_layer(files, name, diff_id, ingest) for name, diff_id in zip(saved.Layers, diff_ids, strict=True)]
    names = tuple(Reference.parse(tag).tagged() for tag in saved.RepoTags or ())
    return ingest.assembled(config, layers, names)


def _saved_layer(files: Files, name: str, diff_id: Digest, ingest: Ingest) -> Layer:
    known = ingest.store.layer(diff_id)
    if known is not None:
        return known
    file = files.open(name)
    if file is None:
        raise BadInputError(f"the archive lacks layer {name!r}")
    layer = ingest.layer(_Whole(file), None, f"layer {name!r}")
    if layer.diff_id != diff_id:
        raise BadInputError(f"layer {name!r} of the archive is damaged: it hashes to {layer.diff_id}")
    return layer
