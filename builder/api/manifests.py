"""Indexes put together by hand: `manifest create` and its like, as Docker, Podman and Buildah have them.

Images come from the store, else from a registry. An index that is changed is another one: it takes over the names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.api.session import Session
from builder.digest import Digest
from builder.errors import NotFoundError, UsageError
from builder.image import lists
from builder.image.descriptor import Annotations, Descriptor
from builder.image.lists import Document, Words
from builder.image.manifest import Index, IndexEntry, Manifest, entry_document, parse
from builder.image.mediatypes import OCI_MANIFEST
from builder.image.platform import Platform, host
from builder.image.reference import Reference
from builder.store.catalog import StoredImage
from builder.store.indexes import StoredIndex

_TRANSPORT = "docker://"


class _Image(Struct, frozen=True):
    """An image for an index: its entry, its manifest and the bytes of that."""

    entry: IndexEntry
    manifest: Manifest
    data: bytes


def create(
    session: Session,
    name: str,
    images: Sequence[str] = (),
    *,
    amend: bool = False,
    everything: bool = False,
    annotations: Annotations = (),
) -> Digest:
    """Make an index `name` of images; of images that are indexes `everything`, or what is for this machine.

    With `amend`, add them to the one there is. Gives its digest. Raises UsageError when the name is taken.
    """
    with session.store.leases.working():
        found = session.store.images.named(name)
        if found is not None and not (amend and isinstance(found, StoredIndex)):
            what = "an index" if isinstance(found, StoredIndex) else "an image"
            hint = "--amend adds to it" if isinstance(found, StoredIndex) else f"pybuild rmi {name} takes the name away"
            raise UsageError(f"{name} is the name of {what} already", hint=hint)
        entries = [each for text in images for each in _sources(session, text, Words(), everything=everything)]

        def change(document: Document) -> Document:
            for each in entries:
                document = lists.added(document, each.entry, Words())
            return lists.annotated(document, annotations) if annotations else document

        return _changed(session, name, change, entries, new=True)


def add(session: Session, name: str, image: str, words: Words, *, everything: bool = False) -> Digest:
    """Add an image to the index `name`; `words` are what its entry says other than the image itself."""
    with session.store.leases.working():
        _index(session, name)
        entries = list(_sources(session, image, words, everything=everything))

        def change(document: Document) -> Document:
            for each in entries:
                document = lists.added(document, each.entry, words)
            return document

        return _changed(session, name, change, entries)


def annotate(session: Session, name: str, image: str, words: Words) -> Digest:
    """Have the entry for an image of the index `name` say something else; `image` empty: the index itself."""
    with session.store.leases.working():
        if not image:
            if words.platform():
                raise UsageError("an index has no platform: only annotations can be given to it")
            return _changed(session, name, lambda document: lists.annotated(document, words.annotations))
        manifest = _entry(session, name, image)
        return _changed(session, name, lambda document: lists.changed(document, manifest, words))


def remove(session: Session, name: str, images: Sequence[str]) -> Digest:
    """Take images out of the index `name`."""
    with session.store.leases.working():
        manifests = [_entry(session, name, image) for image in images]

        def change(document: Document) -> Document:
            for manifest in dict.fromkeys(manifests):
                document = lists.removed(document, manifest)
            return document

        return _changed(session, name, change)


def push(
    session: Session,
    name: str,
    destination: str | None,
    tell: Callable[[str], object],
    *,
    purge: bool = False,
    digestfile: str | None = None,
    sign_key: str | None = None,
) -> Digest:
    """Push the index `name`, with all that it names, as `destination`; with `purge` remove it then. Gives its digest.

    `tell` gets lines as `docker push` prints them. The digest is that in the registry, which has other layers; it goes
    to `digestfile` too. `sign_key`: all of it is signed with the key in that file.
    """
    # lazy: HTTP, and what compresses
    from builder.api.push import named, push_as

    index, to = _index(session, name), named((destination or name).removeprefix(_TRANSPORT))
    (pushed,) = push_as(session, [(name, to)], tell, {}, digestfile=digestfile, sign_key=sign_key)
    if purge:
        session.store.images.remove(index)
    return pushed.descriptor.digest


def check(session: Session, names: Sequence[str]) -> None:
    """Raise NotFoundError or UsageError unless all `names` are those of indexes."""
    for name in names:
        _index(session, name)


def exists(session: Session, name: str) -> bool:
    """Whether there is an index `name`."""
    return session.store.images.index_of(name) is not None


def inspect(session: Session, text: str, *, verbose: bool = False) -> Any:
    """The index or the manifest `text` names, in the store or in a registry, as plain data.

    With `verbose` a description of each image with its manifest, as `docker manifest inspect -v` prints it.
    """
    found = session.store.images.named(text.removeprefix(_TRANSPORT))
    if found is not None:
        data = session.store.images.data(found)
        media_type = found.descriptor.media_type if isinstance(found, StoredIndex) else found.manifest.media_type
        document = parse(data, media_type)
        if not verbose:
            return msgspec.json.decode(data)
        return _verbose(text, document, data, lambda entry: _local(session, entry.descriptor))
    reference = Reference.parse(text.removeprefix(_TRANSPORT)).tagged()
    with session.registries.repository(reference) as repository:
        data, media_type = repository.manifest(str(reference.digest or reference.tag))
        document = parse(data, media_type)
        if not verbose:
            return msgspec.json.decode(data)
        return _verbose(text, document, data, lambda entry: repository.manifest(str(entry.descriptor.digest))[0])


def _local(session: Session, manifest: Descriptor) -> bytes | None:
    try:
        return session.store.blobs.read(manifest)
    except NotFoundError:
        return None


def _verbose(text: str, found: Index | Manifest, data: bytes, read: Callable[[IndexEntry], bytes | None]) -> Any:
    name = replace(Reference.parse(text.removeprefix(_TRANSPORT)), digest=None)
    if isinstance(found, Manifest):
        entry = IndexEntry(Descriptor(found.media_type, Digest.of(data), len(data)))
        return _described(name, entry, data)
    return [_described(name, entry, read(entry)) for entry in found.manifests]


def _described(name: Reference, entry: IndexEntry, data: bytes | None) -> dict[str, Any]:
    kind = "OCIManifest" if entry.descriptor.media_type == OCI_MANIFEST else "SchemaV2Manifest"
    described = {"Ref": f"{name.familiar()}@{entry.descriptor.digest}", "Descriptor": entry_document(entry)}
    return {**described, kind: msgspec.json.decode(data)} if data is not None else described


# --- what is changed, and what comes in ----------------------------------------------------------


def _index(session: Session, name: str) -> StoredIndex:
    found = session.store.images.named(name)
    if isinstance(found, StoredImage):
        raise UsageError(f"{name} is an image, and no index", hint="pybuild manifest create makes an index of images")
    if found is None:
        raise NotFoundError(f"no such index: {name}", hint="pybuild manifest create makes one")
    return found


def _changed(
    session: Session,
    name: str,
    change: Callable[[Document], Document],
    images: Sequence[_Image] = (),
    *,
    new: bool = False,
) -> Digest:
    """Put what `change` makes of the index `name` in its place; `new`: of an empty one when there is none."""
    store = session.store
    with store.db.transaction(durable=True):
        old = store.images.index_of(name) if new else _index(session, name)
        before = lists.nothing() if old is None else lists.read(store.images.data(old))
        data = lists.encoded(change(before))
        document = parse(data)
        names = (Reference.parse(name).tagged(),) if old is None else tuple(map(Reference.parse, old.names))
        descriptor = Descriptor(document.media_type, Digest.of(data), len(data))
        store.images.add_index(descriptor, data, names, [(each.manifest, each.data) for each in images])
        if old is not None and old.descriptor.digest != descriptor.digest:
            store.images.remove(StoredIndex(old.descriptor, old.added, ()))
    return descriptor.digest


def _sources(session: Session, text: str, words: Words, *, everything: bool) -> Iterator[_Image]:
    """The images `text` names, in the store or in a registry; of an index `everything`, or the one for a platform."""
    images = session.store.images
    reference = text.removeprefix(_TRANSPORT)
    asked = words.os or words.architecture or words.variant
    own = host()
    # What an entry is to say is also which image of several is meant.
    wanted = Platform(words.os or own.os, words.architecture or own.architecture, words.variant) if asked else own
    known = images.named(reference)
    if known is None:
        _pull(session, reference, _first(session, reference) or wanted if everything else wanted)
        known = images.named(reference)
    if not isinstance(known, StoredIndex):
        yield _image(session, images.find(reference))
        return
    if not everything:
        images.document(known).select(wanted)
        if images.lookup(reference, wanted) is None:
            _pull(session, reference, wanted)
        yield _image(session, images.find(reference, wanted))
        return
    for member in images.members(known):
        if member.image is None and member.platform is not None:
            _pull(session, reference, member.platform)
        found = images.find(reference, member.platform) if member.image is None else member.image
        yield _image(session, found, member.platform)


def _first(session: Session, text: str) -> Platform | None:
    """The first platform of what a registry has by this name, if it is an index."""
    reference = Reference.parse(text).tagged()
    with session.registries.repository(reference) as repository:
        found = parse(*repository.manifest(str(reference.digest or reference.tag)))
    images = found.images if isinstance(found, Index) else ()
    return next((entry.platform for entry in images if entry.loadable), None)


def _pull(session: Session, text: str, platform: Platform) -> None:
    # lazy: HTTP, for what is not here
    from builder.sources.pull import pull

    pull(Reference.parse(text), platform, session.ingest, session.emit, again=False)


def _image(session: Session, image: StoredImage, platform: Platform | None = None) -> _Image:
    config = session.store.images.claim(image)
    manifest, data = session.store.images.manifest(image), session.store.images.data(image)
    return _Image(IndexEntry(image.manifest, platform or config.platform), manifest, data)


def _entry(session: Session, name: str, text: str) -> Digest:
    """The manifest of the index `name` that `text` means: its digest or its beginning, or an image by name or ID."""
    index = _index(session, name)
    known = [entry.descriptor.digest for entry in session.store.images.document(index).manifests]
    prefix = text.rpartition("@")[2].removeprefix("sha256:")
    begun = [digest for digest in known if digest.hex.startswith(prefix)]
    if len(begun) > 1:
        raise UsageError(f"{text} begins the digests of several images of {name}", hint="give more digits")
    if begun:
        return begun[0]
    found = session.store.images.named(text)
    inside = [] if found is None else _manifests(session, found)
    chosen = [digest for digest in known if digest in inside]
    if len(chosen) != 1:
        here = ", ".join(map(str, known)) or "nothing"
        many = "more than one image" if chosen else "no image"
        raise NotFoundError(f"{name} has {many} {text}", hint=f"name it by its digest, of {here}")
    return chosen[0]


def _manifests(session: Session, found: StoredImage | StoredIndex) -> list[Digest]:
    if isinstance(found, StoredImage):
        return [found.manifest.digest]
    return [member.manifest.digest for member in session.store.images.members(found)]
