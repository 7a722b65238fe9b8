"""Images that lie in files: OCI image layouts (a directory or an archive of one) and `docker save` archives.

Names inside an archive are only ever looked up, never written to disk.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from builder.digest import Digest, VerifyingReader
from builder.errors import BadInputError, NotFoundError, PybuildError, UsageError
from builder.events import Meter, Work
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import LARGEST, MOST_LAYERS, Index, IndexEntry, Manifest, parse, parse_manifest
from builder.image.mediatypes import FULL_NAME, INDEXES, REF_NAME, compression_of
from builder.image.platform import Platform, host
from builder.image.reference import Reference
from builder.readied import readied
from builder.sources.files import DirectoryFiles, Files
from builder.sources.ingest import Ingest, check_layers
from builder.store.images import StoredImage
from builder.store.indexes import StoredIndex

_DEEPEST_INDEX = 4
_PLAIN = "uncompressed"
_PIECE = 1 << 20


def load(files: Files, platform: Platform | None, ingest: Ingest) -> list[StoredImage | StoredIndex]:
    """All images of an archive into the store, with their names; None: indexes with all that they name.

    Else of each index only the image for `platform`; the index is kept all the same. Raises BadInputError.
    """
    docker = _has(files, "manifest.json")
    if _has(files, "index.json") and _has(files, "oci-layout"):
        return [_load_named(files, entry, platform, ingest, docker=docker) for entry in index_of(files)]
    if docker:
        return [*_load_docker(files, ingest)]
    if _has(files, "repositories"):
        raise BadInputError(
            "archives as Docker wrote them before 1.10 are not supported", hint="load and save it with a newer one"
        )
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


def _has(files: Files, name: str) -> bool:
    file = files.open(name)
    if file is not None:
        file.close()
    return file is not None


def _load_entry(
    files: Files,
    entry: IndexEntry,
    platform: Platform,
    ingest: Ingest,
    names: tuple[Reference, ...],
    depth: int = 0,
    *,
    docker: bool = False,
) -> StoredImage:
    data = blob_of(files, entry.descriptor, LARGEST)
    found = parse(data, entry.descriptor.media_type)
    if isinstance(found, Index):
        if depth == _DEEPEST_INDEX:
            raise BadInputError("the archive's indexes are nested too deep")
        chosen = IndexEntry(found.select(platform))
        return _load_entry(files, chosen, platform, ingest, names, depth + 1, docker=docker)
    if docker and all(compression_of(blob.media_type) == _PLAIN for blob in found.layers):
        return _load_unpacked(files, found, ingest, names)
    _load_parts(files, found, ingest)
    return ingest.store.images.add(found, data, names)


def _load_parts(files: Files, manifest: Manifest, ingest: Ingest) -> None:
    """An image's config and layers."""
    check_layers(manifest)
    config = blob_of(files, manifest.config, LARGEST)
    ingest.parts(config, [_layer(files, blob, ingest) for blob in manifest.layers], manifest)


def _load_unpacked(files: Files, manifest: Manifest, ingest: Ingest, names: tuple[Reference, ...]) -> StoredImage:
    """An image whose manifest was made for the archive, of layers that were taken out of their compression for it."""
    config = blob_of(files, manifest.config, LARGEST)
    layers = [ingest.store.layer(blob.digest) or _taken(files, blob, ingest, blob.digest) for blob in manifest.layers]
    return ingest.assembled(config, layers, names, manifest.annotations)


def _load_named(
    files: Files, entry: IndexEntry, platform: Platform | None, ingest: Ingest, *, docker: bool
) -> StoredImage | StoredIndex:
    """What an archive has under a name. Of an index, what the archive lacks of it is not loaded."""
    names = _names(entry.descriptor)
    data = blob_of(files, entry.descriptor, LARGEST)
    index = parse(data, entry.descriptor.media_type)
    if not isinstance(index, Index) or any(each.descriptor.media_type in INDEXES for each in index.manifests):
        return _load_entry(files, entry, host() if platform is None else platform, ingest, names, docker=docker)
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
    return _has(files, f"blobs/sha256/{blob.digest.hex}")


def _layer(files: Files, blob: Descriptor, ingest: Ingest) -> Layer:
    known = ingest.known(blob)
    if known is not None:
        return known
    return _taken(files, blob, ingest)


def _taken(files: Files, blob: Descriptor, ingest: Ingest, diff_id: Digest | None = None) -> Layer:
    """A layer of a layout, taken in: as the blob it is, or where it is known as what, out of its compression."""
    meter = Meter(ingest.emit, Work.UNPACK, blob.digest.short, blob.size)
    source, kept = meter.reading(open_blob(files, blob)), blob if diff_id is None else None
    layer = ingest.layer(source, kept, f"layer {blob.digest.short}", diff_id)
    meter.end()
    return layer


def open_blob(files: Files, blob: Descriptor) -> VerifyingReader:
    """A reader of a blob of an OCI layout. Raises BadInputError when it is not there."""
    file = files.open(f"blobs/sha256/{blob.digest.hex}")
    if file is None:
        raise BadInputError(f"the archive lacks blob {blob.digest}")
    return VerifyingReader(file, blob.digest, blob.size)


def blob_of(files: Files, blob: Descriptor, limit: int) -> bytes:
    """A blob of an OCI layout of at most `limit` bytes, whole. Raises BadInputError."""
    if blob.size > limit:
        raise BadInputError(f"blob {blob.digest} has {blob.size} bytes: more than {limit} are not read")
    reader = open_blob(files, blob)
    return b"".join(iter(lambda: reader.read(_PIECE), b""))  # so that one that is longer is not read whole


def _bytes(files: Files, name: str, limit: int) -> bytes:
    file = files.open(name)
    data = b"" if file is None else file.read(limit + 1)
    if not data or len(data) > limit:
        raise BadInputError(f"{name} of the archive is missing, empty or too large")
    return data


# --- docker save ---------------------------------------------------------------------------------


class _Saved(Struct, frozen=True):
    Config: str
    Layers: list[str]
    RepoTags: list[str] | None = None


def _load_docker(files: Files, ingest: Ingest) -> list[StoredImage]:
    try:
        saved = msgspec.json.decode(_bytes(files, "manifest.json", LARGEST), type=readied(list[_Saved]))
    except msgspec.DecodeError as error:
        raise BadInputError(f"manifest.json of the archive cannot be read: {error}") from error
    return [_load_saved(files, image, ingest) for image in saved]


def _load_saved(files: Files, saved: _Saved, ingest: Ingest) -> StoredImage:
    config = _bytes(files, saved.Config, LARGEST)
    diff_ids = ImageConfig.from_json(config).diff_ids
    if len(diff_ids) > MOST_LAYERS:
        raise BadInputError(f"an image of {len(diff_ids)} layers: more than {MOST_LAYERS} are not taken")
    if len(diff_ids) != len(saved.Layers):
        raise BadInputError(f"the archive has {len(saved.Layers)} layers where its config names {len(diff_ids)}")
    try:
        names = tuple(Reference.parse(tag).tagged() for tag in saved.RepoTags or ())
    except PybuildError as error:
        raise BadInputError(f"manifest.json of the archive has a name that is none: {error.message}") from error
    layers = [_saved_layer(files, name, diff_id, ingest) for name, diff_id in zip(saved.Layers, diff_ids, strict=True)]
    return ingest.assembled(config, layers, names)


def _saved_layer(files: Files, name: str, diff_id: Digest, ingest: Ingest) -> Layer:
    known = ingest.store.layer(diff_id)
    if known is not None:
        return known
    file = files.open(name)
    if file is None:
        raise BadInputError(f"the archive lacks layer {name!r}")
    meter = Meter(ingest.emit, Work.UNPACK, diff_id.short, 0)
    layer = ingest.layer(meter.reading(file), None, f"layer {name!r} of the archive", diff_id)
    meter.end()
    return layer
