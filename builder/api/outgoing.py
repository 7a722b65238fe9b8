"""What leaves the store as it is: an image or an index by its name, with all that an exporter needs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from msgspec.structs import replace

from builder.api.session import Session
from builder.digest import Digest
from builder.errors import NotFoundError
from builder.events import Warned
from builder.export.base import Attest, Attestation, ExportImage, ExportIndex
from builder.image.attestation import moved
from builder.image.descriptor import Descriptor
from builder.image.manifest import IndexEntry, listed, parse_manifest
from builder.image.mediatypes import REFERENCE_DIGEST
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.store.catalog import StoredImage
from builder.store.indexes import StoredIndex


def outgoing(
    session: Session, text: str, names: tuple[Reference, ...], platform: str = ""
) -> ExportImage | ExportIndex:
    """What `text` names, to be called `names`; with `platform`, of an index the image for that.

    All of it stays, as Leases.use says; needs a `working` lease. Raises NotFoundError.
    """
    images = session.store.images
    index = None if platform else images.index_of(text)
    if index is None:
        return _image(session, images.find(text, Platform.parse(platform) if platform else None), names)
    session.store.leases.use([index.descriptor.digest])
    return _index(session, index, names)


def whole(session: Session, item: ExportImage | ExportIndex) -> ExportImage | ExportIndex:
    """`item`; its one image, with a warning, where the index names more than is here.

    An index of which only attestations are not here is taken as it is, with a warning. Raises NotFoundError.
    """
    if isinstance(item, ExportImage):
        return item
    here = {Digest.of(each.data) for each in item.images if each.data is not None}
    here |= {Digest.of(each.manifest) for each in item.extra}
    lost = [entry for entry in item.entries if entry.descriptor.digest not in here]
    if not lost:
        return item
    if not any(entry.runs for entry in lost):
        session.emit(Warned(f"{_called(item)} is written without what is told of its images, which is not here"))
        return item
    what = listed(entry.platform for entry in lost) or str(lost[0].descriptor.digest)
    name = _called(item)
    if len(item.images) == 1:
        session.emit(Warned(f"{name} is written for one platform alone: what it has for {what} is not here"))
        return replace(item.images[0], names=item.names)
    raise NotFoundError(
        f"{name} cannot be written whole: what it has for {what} is not in the store",
        hint="pull it for these, too, or name one platform with --platform",
    )


def _called(item: ExportIndex) -> str:
    return item.names[0].familiar() if item.names else "the index"


def _image(session: Session, image: StoredImage, names: tuple[Reference, ...] = ()) -> ExportImage:
    store = session.store
    store.images.claim(image)
    manifest = store.images.manifest(image)
    layers = store.images.layers(image.manifest.digest)
    config, data = store.blobs.read(manifest.config), store.blobs.read(image.manifest)
    return ExportImage(manifest, config, layers, names, data)


def _index(session: Session, index: StoredIndex, names: tuple[Reference, ...]) -> ExportIndex:
    store = session.store
    document = store.images.document(index)
    images = tuple(_image(session, member.image) for member in store.images.members(index) if member.image is not None)
    others = (entry.descriptor for entry in document.manifests if not entry.runs)
    extra = tuple(_attestation(session, other) for other in others if store.blobs.claimed(other.digest))
    data = store.blobs.read(index.descriptor)
    told = {digest: attest for entry in document.manifests for digest, attest in _told(entry, extra)}
    images = tuple(replace(image, attest=told.get(_digest(image))) for image in images)
    return ExportIndex(images, names, document.annotations, document.manifests, extra, data)


def _digest(image: ExportImage) -> Digest:
    assert image.data is not None
    return Digest.of(image.data)


def _told(entry: IndexEntry, extra: tuple[Attestation, ...]) -> Iterator[tuple[Digest, Attest]]:
    """The image that an entry tells of, and what tells the same of it in the form it gets."""
    about = dict(entry.descriptor.annotations).get(REFERENCE_DIGEST)
    for each in extra:
        if about is not None and Digest.of(each.manifest) == entry.descriptor.digest:
            old = Digest.parse(about)
            yield old, partial(_moved, each, old)


def _moved(told: Attestation, old: Digest, image: Descriptor) -> Attestation:
    return Attestation(*moved(told.manifest, told.blobs, old, image.digest))


def _attestation(session: Session, blob: Descriptor) -> Attestation:
    """What is beside images: a manifest with its parts. Raises NotFoundError when it is not here whole."""
    blobs = session.store.blobs
    data = blobs.read(blob)
    manifest = parse_manifest(data, blob.media_type)
    parts = dict.fromkeys((manifest.config, *manifest.layers))
    for part in parts:
        if not blobs.claimed(part.digest):
            raise NotFoundError(f"{part.digest}, of manifest {blob.digest}, is not in the store")
    return Attestation(data, tuple(blobs.read(part) for part in parts))
