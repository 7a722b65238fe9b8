"""Images to registries: layers made ready and sent side by side, then manifests, indexes, and at last the tags."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest, Reader, VerifyingReader
from builder.errors import NotFoundError, UsageError
from builder.events import Emit, Note, Progress, Warned, Work
from builder.export.base import Attestation, Export, ExportImage, ExportIndex
from builder.export.shape import OPTIONS as SHAPE
from builder.export.shape import Shape, boolean, described, shaped, shaped_index, sparing
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import parse_manifest
from builder.image.mediatypes import OCI_MANIFEST
from builder.image.reference import Reference
from builder.layers.compress import NAMES, Form
from builder.store.open import Store
from builder.store.recompress import compressed

if TYPE_CHECKING:
    from builder.registry.client import Repository
    from builder.registry.endpoints import Registries
    from builder.registry.push import Content, Sent
    from builder.signing.keys import PrivateKey

# What layers that were made here are pushed as: every registry and every reader takes it, as BuildKit's.
DEFAULT = Form("gzip")
OPTIONS = (*SHAPE, "push-by-digest")
_Item = ExportImage | ExportIndex


class Pushed(Struct, frozen=True):
    """A name a registry now has an image by, and what it has there; `here` is what the store knows it by.

    `name` has no tag where it was pushed by digest alone.
    """

    name: Reference
    descriptor: Descriptor
    here: Digest


class PushOptions(Struct, frozen=True):
    """How images are pushed. `force`: layers that came from elsewhere change their form, too; `by_digest`: no tags."""

    shape: Shape = Shape()
    force: bool = False
    by_digest: bool = False

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> PushOptions:
        """Read options of --output. Raises UsageError."""
        force = boolean(options, "force-compression")
        if force and "compression" not in options:
            raise UsageError("force-compression goes with compression", hint=f"use compression={'|'.join(NAMES)}")
        return cls(Shape.parse(options), bool(force), bool(boolean(options, "push-by-digest")))


class Watch(Struct, frozen=True):
    """Who is told: `tell` gets lines as `docker push` prints them, from any thread."""

    emit: Emit
    tell: Callable[[str], object]


def check(destination: str, options: Mapping[str, str]) -> None:
    """Raises UsageError for what cannot be done."""
    PushOptions.parse(options)
    for name in ("push", "store"):
        boolean(options, name)


def export_registry(export: Export, destination: str, options: Mapping[str, str]) -> Descriptor | None:
    """Push the images by the names that the options give, or else by those they have."""
    assert export.registries is not None
    watch = Watch(export.emit, lambda line: export.emit(Note(line)))
    pushed = push(export, export.registries(), PushOptions.parse(options), watch)
    return pushed[-1].descriptor if pushed else None


def push(export: Export, registries: Registries, options: PushOptions, watch: Watch) -> list[Pushed]:
    """Push all of `export` by the names it has; each blob once a repository.

    Raises RegistryError, and NotFoundError for what is not here; the repository with the trouble has no new name then.
    """
    shape = options.shape
    items: list[_Item] = [*export.images, *export.indexes]
    if shape.names is not None:
        items = [replace(item, names=shape.names) for item in items]
    shape = replace(shape, form=shape.form or DEFAULT, names=None)
    if not options.force:
        shape = sparing(shape, export)
    pushed = []
    for repository in dict.fromkeys(replace(name, tag=None) for item in items for name in item.names):
        with registries.repository(repository, push=True) as remote:
            here = [item for item in items if any(_same(name, repository) for name in item.names)]
            watch.tell(f"The push refers to repository [{repository.domain}/{repository.path}]")
            one = _Push(export.store, remote, repository, shape, watch, export.sign)
            pushed += one.all(here, by_digest=options.by_digest)
    return pushed


class _Push:
    """What goes to one repository."""

    def __init__(
        self,
        store: Store,
        remote: Repository,
        repository: Reference,
        shape: Shape,
        watch: Watch,
        key: PrivateKey | None,
    ) -> None:
        # lazy: HTTP takes 60 ms, and other outputs are chosen from the same table
        from builder.registry.push import Pusher

        self._key = key
        self._store, self._remote, self._repository, self._shape, self._watch = store, remote, repository, shape, watch
        self._pusher = Pusher(remote, watch.emit, self._told)
        # By diff ID and form: what layers turned out to be.
        self._made: dict[tuple[Digest, Form], Descriptor] = {}

    def all(self, items: Sequence[_Item], *, by_digest: bool) -> list[Pushed]:
        """Send `items`, each under its names in this repository."""
        wholes = [self._whole(item) for item in items]
        self._send_layers([image for item in wholes for image in _images(item)])
        # All of an item is there before the first name is given.
        documents = [self._sent(item) for item in wholes]
        pushed = []
        for item, document in zip(items, documents, strict=True):
            names = [name for name in item.names if _same(name, self._repository)]
            here = _own(self._store, item)
            names = names[: 1 if by_digest else None]
            for name in names:
                self._sign(replace(name, tag=None) if by_digest else name, document)
            pushed += [self._named(n, document, here, by_digest=by_digest) for n in names]
        return pushed

    def _whole(self, item: _Item) -> _Item:
        """`item` as the registry will have it: where not all of an index is here or there, its one image."""
        if isinstance(item, ExportImage):
            return item if item.attest is None else ExportIndex((item,), item.names)
        here = {
            *(_own(self._store, image) for image in item.images),
            *(Digest.of(each.manifest) for each in item.extra),
        }
        missing = [entry for entry in item.entries if entry.descriptor.digest not in here]
        lost = [entry for entry in missing if self._remote.head(str(entry.descriptor.digest)) is None]
        if not lost:
            return item
        what = ", ".join(dict.fromkeys(str(entry.platform or entry.descriptor.digest) for entry in lost))
        name = next((name for name in item.names if _same(name, self._repository)), self._repository).familiar()
        if len(item.images) == 1:
            self._watch.emit(Warned(f"{name} is pushed for one platform alone: what it has for {what} is not here"))
            return self._whole(replace(item.images[0], names=item.names))
        raise NotFoundError(
            f"{name} cannot be pushed whole: what it has for {what} is not in the store",
            hint="pull it for these, too, or push one image of it with --platform",
        )

    def _send_layers(self, images: Sequence[ExportImage]) -> None:
        """Send the configs and layers of all `images`, side by side.

        Configs go first: what a registry does not take at all is known before anything is compressed for it. The
        largest layers follow, so that the last one is not waited for alone.
        """
        layers: dict[tuple[Digest, Form | None], _LayerContent] = {}
        contents: dict[tuple[Digest, Form | None], Content] = {}
        for image in images:
            for layer, blob in zip(image.layers, image.manifest.layers, strict=True):
                form = self._shape.form_of(blob)
                key = (blob.digest if form is None else layer.diff_id, form)
                layers.setdefault(
                    key, _LayerContent(self._store, layer, blob, form, self._repository, self._watch.emit)
                )
            config = image.manifest.config
            contents.setdefault((config.digest, None), _DataContent(image.config, config))
        for key in sorted(layers, key=lambda key: -layers[key].size):
            contents[key] = layers[key]
        sent = self._pusher.blobs(list(contents.values()))
        self._made = {
            (diff_id, form): each.blob for (diff_id, form), each in zip(contents, sent, strict=True) if form is not None
        }
        self._store.elsewhere.note_blobs((each.blob.digest for each in sent), self._repository)

    def _sent(self, item: _Item) -> _Document:
        """What is to be named; what it names itself is there then."""

        def make(store: Store, layer: Layer, form: Form) -> Descriptor:
            return self._made[layer.diff_id, form]

        if isinstance(item, ExportImage):
            image = shaped(self._store, item, self._shape, make)
            assert image.data is not None
            return _Document(described(image), image.data, (described(image).digest,))
        index = shaped_index(self._store, item, self._shape, make)
        for told in index.attestations:
            self._send_attestation(told)
        for image in index.images:
            assert image.data is not None
            self._pusher.document(str(described(image).digest), image.data, described(image).media_type)
        signed = (index.descriptor.digest, *(described(image).digest for image in index.images))
        return _Document(index.descriptor, index.data, signed)

    def _send_attestation(self, told: Attestation) -> None:
        manifest = parse_manifest(told.manifest, OCI_MANIFEST)
        data = {Digest.of(blob): blob for blob in told.blobs}
        blobs = dict.fromkeys((manifest.config, *manifest.layers))
        self._pusher.blobs([_DataContent(data[blob.digest], blob) for blob in blobs if blob.digest in data])
        self._pusher.document(str(Digest.of(told.manifest)), told.manifest, manifest.media_type)

    def _sign(self, name: Reference, document: _Document) -> None:
        """Sign what is going to be called `name`: before it is, so that who asks for it finds the signature."""
        if self._key is None:
            return
        # lazy: few sign what they push
        from builder.registry.signatures import signatures
        from builder.signing.cosign import signed, tag_of

        for digest in document.signed:
            found = signed(name, digest, self._key, signatures(self._remote, digest))
            if found is not None:
                blobs = {Digest.of(data): data for data in found.blobs}
                parts = [blob for blob in (found.manifest.config, *found.manifest.layers) if blob.digest in blobs]
                self._pusher.blobs([_DataContent(blobs[blob.digest], blob) for blob in dict.fromkeys(parts)])
                self._pusher.document(tag_of(digest), found.manifest.to_json(), found.manifest.media_type)
            self._watch.tell(f"{name.tag or digest}: signed: {digest}")

    def _named(self, name: Reference, document: _Document, here: Digest, *, by_digest: bool) -> Pushed:
        found = document.descriptor
        tag = str(found.digest) if by_digest else str(name.tagged().tag)
        self._pusher.document(tag, document.data, found.media_type)
        self._store.elsewhere.note_published(self._repository, found.digest, here)
        self._watch.tell(f"{tag}: digest: {found.digest} size: {found.size}")
        return Pushed(replace(name, tag=None) if by_digest else name, found, here)

    def _told(self, content: Content, sent: Sent) -> None:
        if not isinstance(content, _LayerContent):
            return
        state = "Layer already exists"
        if sent.how is not None:
            state = f"Mounted from {sent.how.mounted}" if sent.how.mounted else "Pushed"
        self._watch.emit(Progress(Work.PUSH, sent.blob.digest.short, sent.blob.size, sent.blob.size))
        self._watch.tell(f"{content.name}: {state}")


class _Document(Struct, frozen=True):
    """A manifest or an index. `signed` are the digests of what is signed: its own, and those of its images."""

    descriptor: Descriptor
    data: bytes
    signed: tuple[Digest, ...]


class _LayerContent:
    """A layer on its way, in the form it is to have."""

    def __init__(
        self, store: Store, layer: Layer, blob: Descriptor, form: Form | None, repository: Reference, emit: Emit
    ) -> None:
        self._store, self._layer, self._blob, self._form, self._repository = store, layer, blob, form, repository
        self._emit = emit
        self.name, self.size = layer.diff_id.short, layer.size

    def expected(self) -> Descriptor | None:
        if self._form is None:
            return self._blob
        return self._store.compressed.get(self._layer.diff_id, self._form)

    def made(self, canceled: Callable[[], bool]) -> Descriptor:
        if self._form is not None:
            return compressed(self._store, self._layer, self._form, canceled, self._emit)
        return self._blob

    def mount(self, blob: Digest) -> str | None:
        return self._store.elsewhere.beside(blob, self._repository)

    def open(self, blob: Descriptor) -> Reader:
        return self._store.blobs.open(blob)


class _DataContent:
    """A small blob: a config, or what attests something."""

    def __init__(self, data: bytes, blob: Descriptor) -> None:
        self._data, self.blob = data, blob
        self.name = blob.digest.short

    def expected(self) -> Descriptor | None:
        return self.blob

    def made(self, canceled: Callable[[], bool]) -> Descriptor:
        return self.blob

    def mount(self, blob: Digest) -> str | None:
        return None

    def open(self, blob: Descriptor) -> Reader:
        return VerifyingReader(io.BytesIO(self._data), blob.digest, blob.size)


def _images(item: _Item) -> tuple[ExportImage, ...]:
    return (item,) if isinstance(item, ExportImage) else item.images


def _own(store: Store, item: _Item) -> Digest:
    """What an image or an index is known by here: the digest of its manifest, or of the index."""
    if item.data is not None:
        return Digest.of(item.data)
    if isinstance(item, ExportImage):
        return Digest.of(item.manifest.to_json())
    images = tuple(replace(image, attest=None) for image in item.images)
    if len(images) == 1:
        return _own(store, images[0])
    return shaped_index(store, replace(item, images=images), Shape()).descriptor.digest


def _same(name: Reference, repository: Reference) -> bool:
    return (name.domain, name.path) == (repository.domain, repository.path)
