"""Images and their names. The database is the truth; index.json is written after it, for other programs to read.

index.json names every tagged image by `org.opencontainers.image.ref.name` (OCI image-layout.md), so that
`skopeo inspect oci:<root>:<name>` works on the store in place.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, PybuildError, UsageError
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Manifest, descriptor_document, parse_manifest
from builder.image.mediatypes import OCI_INDEX, REF_NAME
from builder.image.reference import Reference
from builder.linux.files import write_atomically
from builder.linux.locks import locked
from builder.points import point
from builder.store.blobs import Blobs, store_errors
from builder.store.db import Database
from builder.store.layers import LayerTable
from builder.store.leases import Leases

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})\Z")
_COLUMNS = "i.manifest, i.media_type, i.size, i.config, i.added"


class StoredImage(Struct, frozen=True):
    """An image of the store. `config` is its ID; `names` its references, familiar form; `added` in seconds."""

    manifest: Descriptor
    config: Digest
    added: float
    names: tuple[str, ...]


class Images:
    """Images by ID and by name."""

    def __init__(self, root: Path, db: Database, blobs: Blobs, layers: LayerTable, leases: Leases) -> None:
        self._root, self._db, self._blobs, self._layers, self._leases = root, db, blobs, layers, leases
        self._claimed: dict[Digest, tuple[Layer, ...]] = {}

    # --- changing --------------------------------------------------------------------------------

    def add(self, manifest: Manifest, data: bytes, names: tuple[Reference, ...] = ()) -> StoredImage:
        """Keep an image whose layers are in the store, with `data` its manifest's bytes, and give it `names`."""
        digest = self._blobs.put_bytes(data)
        known = self._one("WHERE i.manifest = ?", digest.hex)
        if known is not None and {name.tagged().familiar() for name in names} <= set(known.names):
            self.publish()
            return known  # nothing is new: the usual end of a build from the cache
        # Its blobs are on the disk, but their names may not be: the image must not outlive a power cut without them.
        self._blobs.settle()
        point("image:manifest")
        # Read in the same transaction: another process may remove it right afterwards.
        with self._db.transaction(durable=True):
            self._db.execute(
                "INSERT INTO images VALUES (?, ?, ?, ?, ?) ON CONFLICT (manifest) DO NOTHING",
                (digest.hex, manifest.media_type, len(data), manifest.config.digest.hex, time.time()),
            )
            for name in names:
                self._point(name, digest)
            added = self.by_manifest(digest)
        self.publish()
        return added

    def tag(self, image: StoredImage, name: Reference) -> None:
        """Give an image a name; another image that had it loses it. Raises NotFoundError when it was just removed."""
        with self._db.transaction(durable=True):
            self.by_manifest(image.manifest.digest)
            self._point(name, image.manifest.digest)
        self.publish()

    def untag(self, name: Reference) -> bool:
        """Take a name away; False when nothing has it."""
        with self._db.transaction(durable=True):
            changed = self._db.execute("DELETE FROM refs WHERE name = ?", (str(name.tagged()),))
        self.publish()
        return bool(changed)

    def remove(self, image: StoredImage) -> None:
        """Forget an image and its names. Its blobs go with the next garbage collection."""
        with self._db.transaction(durable=True):
            self._db.execute("DELETE FROM refs WHERE manifest = ?", (image.manifest.digest.hex,))
            self._db.execute("DELETE FROM images WHERE manifest = ?", (image.manifest.digest.hex,))
        self.publish()

    def restore(self, manifest: Descriptor, config: Digest, added: float, names: tuple[Reference, ...]) -> None:
        """Keep an image whose blobs are there, within a transaction and without a word in index.json."""
        self._db.execute(
            "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)",
            (manifest.digest.hex, manifest.media_type, manifest.size, config.hex, added),
        )
        for name in names:
            self._point(name, manifest.digest)

    def _point(self, name: Reference, manifest: Digest) -> None:
        if name.digest is not None:
            raise UsageError(f"{name.familiar()} has a digest: a tag cannot be given by it")
        self._db.execute("INSERT OR REPLACE INTO refs VALUES (?, ?)", (str(name.tagged()), manifest.hex))

    # --- finding ---------------------------------------------------------------------------------

    def find(self, text: str) -> StoredImage:
        """The image `text` names: a reference, an ID, or a clear beginning of one. Raises NotFoundError."""
        found = self.lookup(text)
        if found is None:
            raise NotFoundError(f"no such image: {text}", hint="pybuild images lists what there is")
        return found

    def lookup(self, text: str) -> StoredImage | None:
        """As `find`; None when there is none. Raises UsageError for an ID that means several."""
        try:
            named = self.by_name(Reference.parse(text))
        except PybuildError:
            named = None
        if named is not None:
            return named
        match = _ID.match(text)
        return None if match is None else self._by_prefix(text, match[1])

    def by_name(self, name: Reference) -> StoredImage | None:
        """The image of a reference; with a digest, the one with that manifest."""
        if name.digest is not None:
            return self._one("WHERE i.manifest = ?", name.digest.hex)
        return self._one("JOIN refs r ON r.manifest = i.manifest WHERE r.name = ?", str(name.tagged()))

    def by_manifest(self, digest: Digest) -> StoredImage:
        """The image with this manifest. Raises NotFoundError."""
        found = self._one("WHERE i.manifest = ?", digest.hex)
        if found is None:
            raise NotFoundError(f"no image has the manifest {digest}")
        return found

    def has(self, image: StoredImage) -> bool:
        """Whether the image is still there."""
        return self._one("WHERE i.manifest = ?", image.manifest.digest.hex) is not None

    def all(self) -> list[StoredImage]:
        """Every image, newest first."""
        names: dict[str, list[str]] = {}
        for name, manifest in self._db.rows("SELECT name, manifest FROM refs ORDER BY name"):
            names.setdefault(manifest, []).append(_familiar(name))
        rows = self._db.rows(f"SELECT {_COLUMNS} FROM images i ORDER BY i.added DESC, i.manifest")
        return [_image(row, tuple(names.get(row[0], ()))) for row in rows]

    def _by_prefix(self, text: str, prefix: str) -> StoredImage | None:
        rows = self._db.rows(
            "SELECT config, MAX(manifest) FROM images WHERE substr(config, 1, ?) = ? GROUP BY config LIMIT 2",
            (len(prefix), prefix),
        )
        if not rows:
            return self._one("WHERE i.manifest = ?", prefix)
        if len(rows) > 1:
            raise UsageError(f"{text} begins the IDs of several images", hint="give more digits")
        return self._one("WHERE i.manifest = ?", rows[0][1])

    def _one(self, where: str, value: str) -> StoredImage | None:
        row = self._db.row(f"SELECT {_COLUMNS} FROM images i {where}", (value,))
        if row is None:
            return None
        names = self._db.rows("SELECT name FROM refs WHERE manifest = ? ORDER BY name", (row[0],))
        return _image(row, tuple(_familiar(name) for (name,) in names))

    # --- reading ---------------------------------------------------------------------------------

    def manifest(self, image: StoredImage) -> Manifest:
        """The manifest of an image."""
        return parse_manifest(self._blobs.read(image.manifest), image.manifest.media_type)

    def config(self, image: StoredImage) -> ImageConfig:
        """The config of an image."""
        return ImageConfig.from_json(self._blobs.read(self.manifest(image).config))

    def claimed(self, text: str) -> tuple[StoredImage, ImageConfig] | None:
        """The image `text` names and its config, as `lookup` and `claim`; None when there is none."""
        image = self.lookup(text)
        while image is not None:
            try:
                return image, self.claim(image)
            except NotFoundError:
                gone, image = image, self.lookup(text)
                if image == gone:
                    raise  # not another that took its name
        return None

    def claim(self, image: StoredImage) -> ImageConfig:
        """Have all of an image stay, as Leases.use says, whoever removes it; gives its config.

        Raises NotFoundError when it was just removed.
        """
        self._leases.use([image.manifest.digest, image.config])
        self.by_manifest(image.manifest.digest)
        manifest, config = self.manifest(image), self.config(image)
        self._leases.use([*(blob.digest for blob in manifest.layers), *config.diff_ids])
        layers = self.layers(image.manifest.digest)
        self.by_manifest(image.manifest.digest)  # all has been named: an image that is known now stays whole
        self._claimed[image.manifest.digest] = layers
        return config

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

    # --- for other programs ----------------------------------------------------------------------

    def publish(self) -> None:
        """Write index.json from the database, unless it says all that already: writing waits for the disk."""
        with store_errors(self._root), locked(self._root / "locks" / "index"):
            data, path = self.index(), self._root / "index.json"
            if not path.exists() or path.read_bytes() != data:
                write_atomically(str(path), data)

    def index(self) -> bytes:
        """What index.json must say."""
        rows = self._db.rows(
            "SELECT r.name, i.manifest, i.media_type, i.size FROM images i"
            " LEFT JOIN refs r ON r.manifest = i.manifest ORDER BY r.name, i.manifest"
        )
        manifests = []
        for name, manifest, media_type, size in rows:
            descriptor = Descriptor(media_type, Digest(manifest), size)
            if name is not None:
                descriptor = replace(descriptor, annotations=((REF_NAME, _familiar(name)),))
            manifests.append(descriptor_document(descriptor))
        return msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})


def _familiar(name: str) -> str:
    """A name as users write it; one that is damaged as it is."""
    try:
        return Reference.parse(name).familiar()
    except PybuildError:
        return name


def _image(row: Any, names: tuple[str, ...]) -> StoredImage:
    manifest, media_type, size, config, added = row
    return StoredImage(Descriptor(media_type, Digest(manifest), size), Digest(config), added, names)
