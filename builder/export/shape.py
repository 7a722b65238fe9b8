"""The form that images take outside: how layers are compressed, media types, annotations; and indexes of such."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import UsageError
from builder.export.annotate import (
    INDEX,
    MANIFEST,
    MANIFEST_DESCRIPTOR,
    Annotation,
    attribute,
    chosen,
    together,
)
from builder.export.base import Attestation, Export, ExportImage, ExportIndex
from builder.image.attestation import attested
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Index, IndexEntry, parse
from builder.image.mediatypes import (
    OCI_INDEX,
    OCI_MANIFEST,
    compression_of,
    typed,
)
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.lang.gobool import parse_bool
from builder.layers.compress import NAMES, Form
from builder.store.open import Store
from builder.store.recompress import compressed

# Options of --output that say it. `annotation….KEY` are besides.
OPTIONS = ("name", "compression", "compression-level", "force-compression", "oci-mediatypes", "rewrite-timestamp")


# Gives the blob of a layer in a form.
Make = Callable[[Store, Layer, Form], Descriptor]


class Shape(Struct, frozen=True):
    """What is asked for. `form` None: layers as they are; `oci` None: media types likewise, else OCI's or Docker's.

    `names` None: those the images have. `kept` are blobs that stay in the form they are in.
    """

    form: Form | None = None
    oci: bool | None = None
    annotations: tuple[Annotation, ...] = ()
    names: tuple[Reference, ...] | None = None
    kept: frozenset[Digest] = frozenset()

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> Shape:
        """Read options of --output; others are passed over. Raises UsageError."""
        named, level = options.get("compression"), options.get("compression-level")
        if level is not None and named is None:
            raise UsageError("compression-level goes with compression", hint=f"use compression={'|'.join(NAMES)}")
        boolean(options, "rewrite-timestamp")  # as it is done in any case; see docs/outputs.md
        boolean(options, "force-compression")  # for `sparing`
        oci = boolean(options, "oci-mediatypes")
        if oci is False and named == "zstd":
            raise UsageError("Docker's media types have no zstd", hint="leave oci-mediatypes=false out, or use gzip")
        names = options.get("name")
        return cls(
            None if named is None else Form.parse(named, level),
            oci,
            tuple(found for name, value in options.items() if (found := attribute(name, value))),
            None if names is None else tuple(Reference.parse(name).tagged() for name in names.split(",") if name),
        )

    def form_of(self, blob: Descriptor) -> Form | None:
        """The form that a layer of which this is the blob is to be brought into; None: it has it."""
        own = compression_of(blob.media_type)
        if self.oci is False and own == "zstd" and (self.form is None or blob.digest in self.kept):
            return Form("gzip")  # Docker's media types have no zstd
        if self.form is None or blob.digest in self.kept:
            return None
        return self.form if self.form.level is not None or self.form.compression != own else None


def sparing(shape: Shape, export: Export) -> Shape:
    """`shape`, in which the layers of `export` that came from elsewhere stay as they are.

    As in buildx, unless compression is forced: what they belong to has them by their digests.
    """
    blobs = [blob.digest for image in export.all() for blob in image.manifest.layers]
    return replace(shape, kept=frozenset(export.store.elsewhere.received(blobs)))


def boolean(options: Mapping[str, str], name: str) -> bool | None:
    """What an option that is true or false says; None when it is not there. Raises UsageError."""
    if name not in options:
        return None
    found = parse_bool(options[name])
    if found is None:
        raise UsageError(f"{name}={options[name]} is neither true nor false")
    return found


def platform_of(image: ExportImage) -> Platform:
    """What an image runs on."""
    return ImageConfig.from_json(image.config).platform


def shaped(store: Store, image: ExportImage, shape: Shape, make: Make = compressed) -> ExportImage:
    """`image` in a shape, all of its layers' blobs in `store`; it is the same where the shape changes nothing of it.

    Its `data` are the bytes of its manifest. `make` gives a layer in a form. Needs a `working` lease. Raises what
    `compressed` raises.
    """
    old = image.manifest
    found = [_layer(store, layer, blob, shape, make) for layer, blob in zip(image.layers, old.layers, strict=True)]
    oci = shape.oci
    if oci is None:
        # Docker's media types have no zstd.
        oci = old.media_type == OCI_MANIFEST or any(compression_of(blob.media_type) == "zstd" for blob in found)
    layers = tuple(
        now if shape.oci is None and now == before else replace(now, media_type=typed(now.media_type, oci=oci))
        for now, before in zip(found, old.layers, strict=True)
    )
    if oci == (old.media_type == OCI_MANIFEST) and layers == old.layers:
        manifest = old
    else:
        config = replace(old.config, media_type=typed(old.config.media_type, oci=oci))
        manifest = replace(old, media_type=typed(old.media_type, oci=oci), config=config, layers=layers)
    more = chosen(shape.annotations, MANIFEST, platform_of(image)) if shape.annotations else ()
    manifest = replace(manifest, annotations=together(manifest.annotations, more))
    data = image.data if manifest == old and image.data is not None else manifest.to_json()
    names = image.names if shape.names is None else shape.names
    return replace(image, manifest=manifest, data=data, names=names)


def _layer(store: Store, layer: Layer, blob: Descriptor, shape: Shape, make: Make) -> Descriptor:
    form = shape.form_of(blob)
    return blob if form is None else replace(make(store, layer, form), annotations=blob.annotations)


def described(image: ExportImage) -> Descriptor:
    """The descriptor of a shaped image's manifest."""
    assert image.data is not None
    return Descriptor(image.manifest.media_type, Digest.of(image.data), len(image.data))


class ShapedIndex(Struct, frozen=True):
    """An index in a shape: its images, what else it names of what is here, its bytes and their descriptor."""

    images: tuple[ExportImage, ...]
    attestations: tuple[Attestation, ...]
    data: bytes
    descriptor: Descriptor
    names: tuple[Reference, ...]


def shaped_index(store: Store, index: ExportIndex, shape: Shape, make: Make = compressed) -> ShapedIndex:
    """`index` with its images in a shape; as `shaped`."""
    images = tuple(shaped(store, image, shape, make) for image in index.images)
    same = all(one.manifest == other.manifest for one, other in zip(images, index.images, strict=True))
    own = chosen(shape.annotations, INDEX)
    names = index.names if shape.names is None else shape.names
    if index.data is not None and same and not own:
        media_type = _index_type(index.data)
        descriptor = Descriptor(media_type, Digest.of(index.data), len(index.data))
        return ShapedIndex(images, index.extra, index.data, descriptor, names)
    kept = index.entries if same else ()
    told = [(i, i.attest(described(i))) for i in images if i.attest is not None and not kept]
    oci = not images or images[0].manifest.media_type == OCI_MANIFEST or bool(told)
    document = Index(
        (
            *(kept or _entries(images, shape)),
            *(attested(described(image).digest, told_of.manifest) for image, told_of in told),
        ),
        OCI_INDEX if oci else typed(OCI_INDEX, oci=False),
        together(index.annotations, own),
    )
    data = document.to_json()
    descriptor = Descriptor(document.media_type, Digest.of(data), len(data))
    extra = index.extra if kept else ()
    return ShapedIndex(images, (*extra, *(told_of for _, told_of in told)), data, descriptor, names)


def _index_type(data: bytes) -> str:
    found = parse(data)
    assert isinstance(found, Index)
    return found.media_type


def _entries(images: Sequence[ExportImage], shape: Shape) -> Iterator[IndexEntry]:
    for image in images:
        platform = platform_of(image)
        more = chosen(shape.annotations, MANIFEST_DESCRIPTOR, platform)
        yield IndexEntry(replace(described(image), annotations=more), platform)


def alone(export: Export) -> tuple[list[ExportImage], list[ExportIndex]]:
    """The images of an export that need no index, and its indexes with those that do, for what is told of them."""
    told = [ExportIndex((image,), image.names) for image in export.images if image.attest is not None]
    return [image for image in export.images if image.attest is None], [*told, *export.indexes]
