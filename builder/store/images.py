"""Images, indexes and their names. The database is the truth; index.json is written after it (store/indexfile).

A name is that of an image or of an index (store/indexes), which has an image for each of several platforms: whoever
asks for an image by such a name gets the one for the platform asked for (store/catalog). index.json names every tagged
one by `org.opencontainers.image.ref.name` (OCI image-layout.md), so that `skopeo inspect oci:<root>:<name>` works on
the store in place.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, UsageError
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Index, Manifest, parse, parse_manifest
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.points import point
from builder.store.blobs import Blobs
from builder.store.catalog import Catalog, digest_of
from builder.store.catalog import StoredImage as StoredImage
from builder.store.db import Database
from builder.store.imagefacts import FactTable, ImageFacts
from builder.store.indexes import StoredIndex
from builder.store.indexfile import IndexFile
from builder.store.layers import LayerTable
from builder.store.leases import Leases


class Images(Catalog):
    """Images and indexes by ID and by name."""

    def __init__(self, root: Path, db: Database, blobs: Blobs, layers: LayerTable, leases: Leases) -> None:
        super().__init__(db, blobs)
        self._layers, self._leases = layers, leases
        self.index_file = IndexFile(root, db)
        self._changing = False
        self._claimed: dict[Digest, tuple[Layer, ...]] = {}

    # --- changing --------------------------------------------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[None]:
        """All changes inside, or none; they outlive a power cut from then on, and then index.json tells of them."""
        with self._db.transaction(durable=True):
            outermost, self._changing = not self._changing, True
            try:
                yield
            finally:
                self._changing = not outermost
            if outermost:
                self.index_file.changed()
        if outermost:
            self.index_file.publish()

    def add(self, manifest: Manifest, data: bytes, names: tuple[Reference, ...] = ()) -> StoredImage:
        """Keep an image whose layers are in the store, with `data` its manifest's bytes, and give it `names`."""
        digest = self._blobs.put_bytes(data)
        known = self._one(digest.hex)
        if known is not None and {name.tagged().familiar() for name in names} <= set(known.names):
            self.index_file.publish()
            return known  # nothing is new: the usual end of a build from the cache
        # Its blobs are on the disk, but their names may not be: the image must not outlive a power cut without them.
        self._blobs.settle()
        point("image:manifest")
        # Read in the same transaction: another process may remove it right afterwards.
        with self.changing():
            self._insert(manifest, digest, len(data))
            for name in names:
                self._point(name, digest)
            added = self.by_manifest(digest)
        return added

    def add_index(
        self,
        index: Descriptor,
        data: bytes,
        names: tuple[Reference, ...] = (),
        images: Iterable[tuple[Manifest, bytes]] = (),
    ) -> StoredIndex:
        """Keep an index, with `data` its bytes, and give it `names`; with it `images`, as `add` keeps them.

        All of that is there at once or not at all. What the index names otherwise may be in the store or not. Raises
        BadInputError for bytes that are no index or another than `index`.
        """
        document = parse(data, index.media_type)
        if not isinstance(document, Index) or Digest.of(data) != index.digest:
            raise BadInputError(f"{index.digest} is no index, or not what was asked for")
        self._blobs.put_bytes(data)
        parts = [
            (manifest, self._blobs.put_bytes(manifest_data), len(manifest_data)) for manifest, manifest_data in images
        ]
        known = self._at(index.digest.hex)
        if (
            isinstance(known, StoredIndex)
            and {name.tagged().familiar() for name in names} <= set(known.names)
            and all(self._one(digest.hex) is not None for _, digest, _ in parts)
        ):
            self.index_file.publish()
            return known  # as in `add`
        self._blobs.settle()
        with self.changing():
            for manifest, digest, size in parts:
                self._insert(manifest, digest, size)
            self._indexes.add(replace(index, size=len(data), annotations=()), document)
            for name in names:
                self._point(name, index.digest)
            added = self._index(self._indexes.row(index.digest.hex))
        return added

    def tag(self, image: StoredImage | StoredIndex, name: Reference) -> None:
        """Give an image or an index a name; what had it loses it. Raises NotFoundError when it was just removed."""
        with self.changing():
            if not self.has(image):
                raise NotFoundError("the image was removed just now")
            self._point(name, digest_of(image))

    def untag(self, name: Reference) -> bool:
        """Take a name away; False when nothing has it."""
        with self.changing():
            changed = self._db.execute("DELETE FROM refs WHERE name = ?", (str(name.tagged()),))
        return bool(changed)

    def remove(self, image: StoredImage | StoredIndex) -> None:
        """Forget an image and its names; of an index also the images that have no name and are in no other index.

        Blobs go with the next garbage collection. Indexes that an image was in stay, without it.
        """
        with self.changing():
            hexadecimal = digest_of(image).hex
            self._db.execute("DELETE FROM refs WHERE manifest = ?", (hexadecimal,))
            if isinstance(image, StoredIndex):
                self._db.execute(
                    "DELETE FROM images WHERE manifest NOT IN (SELECT manifest FROM refs)"
                    " AND manifest IN (SELECT manifest FROM index_entries WHERE index_digest = ?)"
                    " AND manifest NOT IN (SELECT manifest FROM index_entries WHERE index_digest != ?)",
                    (hexadecimal, hexadecimal),
                )
                self._indexes.forget(image.descriptor.digest)
            else:
                self._db.execute("DELETE FROM images WHERE manifest = ?", (hexadecimal,))

    def forget_name(self, name: str) -> None:
        """Take away a name that may be damaged, as it stands in the database."""
        with self.changing():
            self._db.execute("DELETE FROM refs WHERE name = ?", (name,))

    def restore(self, manifest: Descriptor, config: Digest, added: float, names: tuple[Reference, ...]) -> None:
        """Keep an image whose blobs are there, within a transaction and without a word in index.json."""
        self._db.execute(
            "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)",
            (manifest.digest.hex, manifest.media_type, manifest.size, config.hex, added),
        )
        for name in names:
            self._point(name, manifest.digest)

    def restore_index(self, index: Descriptor, document: Index, added: float, names: tuple[Reference, ...]) -> None:
        """As `restore`, for an index."""
        self._indexes.add(index, document, added)
        for name in names:
            self._point(name, index.digest)

    def _insert(self, manifest: Manifest, digest: Digest, size: int) -> None:
        self._db.execute(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?) ON CONFLICT (manifest) DO NOTHING",
            (digest.hex, manifest.media_type, size, manifest.config.digest.hex, time.time()),
        )

    def _point(self, name: Reference, manifest: Digest) -> None:
        if name.digest is not None:
            raise UsageError(f"{name.familiar()} has a digest: a tag cannot be given by it")
        self._db.execute("INSERT OR REPLACE INTO refs VALUES (?, ?)", (str(name.tagged()), manifest.hex))

    # --- reading ---------------------------------------------------------------------------------

    def manifest(self, image: StoredImage) -> Manifest:
        """The manifest of an image."""
        return parse_manifest(self._blobs.read(image.manifest), image.manifest.media_type)

    def config(self, image: StoredImage) -> ImageConfig:
        """The config of an image."""
        return ImageConfig.from_json(self._blobs.read(self.manifest(image).config))

    def facts(self, images: Iterable[StoredImage]) -> dict[Digest, ImageFacts]:
        """What `images` say of themselves, by their manifests. Those that are damaged or were removed are left out."""
        table, found, new = FactTable(self._db), dict[Digest, ImageFacts](), dict[Digest, ImageFacts]()
        known = table.all()
        for image in images:
            digest = image.manifest.digest
            facts = known.get(digest.hex)
            if facts is None:
                with suppress(BadInputError, NotFoundError):
                    facts = new[digest] = self.read_facts(image)
            if facts is not None:
                found[digest] = facts
        table.keep(new.items())
        return found

    def forget_lost_facts(self) -> None:
        """Forget what images said that are gone. Only collection may."""
        FactTable(self._db).forget_lost()

    def read_facts(self, image: StoredImage) -> ImageFacts:
        """What an image says of itself, read anew. Raises BadInputError, NotFoundError for one that is damaged."""
        manifest = self.manifest(image)
        config = ImageConfig.from_json(self._blobs.read(manifest.config))
        blobs = (layer.digest for layer in manifest.layers)
        return ImageFacts.of(config.created, str(config.platform), config.diff_ids, blobs)

    def data(self, image: StoredImage | StoredIndex) -> bytes:
        """The bytes of an image's manifest, or of an index."""
        return self._blobs.read(image.descriptor if isinstance(image, StoredIndex) else image.manifest)

    def index_blobs(self, index: StoredIndex) -> list[Descriptor]:
        """The blobs that stay as long as an index does, besides those of its images: itself, its attestations."""
        return list(self._indexes.blobs(index.descriptor))

    def claimed(self, text: str, platform: Platform | None = None) -> tuple[StoredImage, ImageConfig] | None:
        """The image `text` names and its config, as `lookup` and `claim`; None when there is none."""
        image = self.lookup(text, platform)
        while image is not None:
            try:
                return image, self.claim(image)
            except NotFoundError:
                gone, image = image, self.lookup(text, platform)
                if image == gone:
                    raise  # not another that took its name
        return None

    def claim(self, image: StoredImage) -> ImageConfig:
        """Have all of an image stay, as Leases.use says, whoever removes it; gives its config.

        Raises NotFoundError when it was just removed.
        """
        self._leases.use([image.manifest.digest, image.config])
        self.by_manifest(image.manifest.digest)
        manifest = self.manifest(image)
        config = ImageConfig.from_json(self._blobs.read(manifest.config))
        self._leases.use([*(blob.digest for blob in manifest.layers), *config.diff_ids])
        layers = self.layers(image.manifest.digest)
        self.by_manifest(image.manifest.digest)  # all has been named: an image that is known now stays whole
        self._claimed[image.manifest.digest] = layers
        return config

    def lend(self, manifest: Digest, layers: tuple[Layer, ...]) -> None:
        """Have `layers` know those of an image that is not kept, for builds that stand on it.

        They must be in the store, and stay there as Leases.use says.
        """
        self._claimed[manifest] = layers

    def layers(self, manifest: Digest) -> tuple[Layer, ...]:
        """The layers of the image with this manifest, bottom first. Raises BadInputError when one is not known."""
        if manifest in self._claimed:
            return self._claimed[manifest]
        found = []
        for diff_id in self.config(self.by_manifest(manifest)).diff_ids:
            layer = self._layers.get(diff_id)
            if layer is None:
                raise BadInputError(
                    f"layer {diff_id} of image {manifest} is not in the store",
                    hint="load or pull the image again",
                )
            found.append(layer)
        return tuple(found)
