"""What images and indexes there are: found by name, by ID and by platform."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, PybuildError, UsageError
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, listed
from builder.image.platform import Platform, host
from builder.image.reference import Reference, shortened
from builder.store.blobs import Blobs
from builder.store.db import Database
from builder.store.indexes import IndexTable, StoredIndex

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})\Z")
_COLUMNS = "manifest, media_type, size, config, added"


class StoredImage(Struct, frozen=True):
    """An image of the store. `config` is its ID; `names` its references, familiar form; `added` in seconds.

    Names of indexes that it is in are not among its own.
    """

    manifest: Descriptor
    config: Digest
    added: float
    names: tuple[str, ...]


class Member(Struct, frozen=True):
    """What an index says is an image: its manifest, for which platform, and the image if it is in the store."""

    manifest: Descriptor
    platform: Platform | None
    image: StoredImage | None


class Catalog:
    """The tables of images, indexes and names, as they are read."""

    def __init__(self, db: Database, blobs: Blobs) -> None:
        self._db, self._blobs = db, blobs
        self._indexes = IndexTable(db, blobs)

    def find(self, text: str, platform: Platform | None = None) -> StoredImage:
        """The image `text` names: a reference, an ID, or a clear beginning of one; of an index that for `platform`.

        None is this machine's platform, else whichever is here. What `text` names otherwise is given whatever it runs
        on. Raises NotFoundError.
        """
        found = self.lookup(text, platform)
        if found is not None:
            return found
        wanted = host() if platform is None else platform
        lacking = self.lacking(text, wanted)
        if lacking:
            raise NotFoundError(lacking, hint=f"pybuild pull --platform {wanted} {text}")
        raise NotFoundError(f"no such image: {text}", hint="pybuild images lists what there is")

    def lacking(self, text: str, platform: Platform) -> str:
        """What is to be told where `text` names an index of which nothing for `platform` is here; empty for others."""
        index = self.index_of(text)
        if index is None or self._chosen(index, platform) is not None:
            return ""
        here = listed(m.platform for m in self.members(index) if m.image is not None) or "no platform"
        return f"{text} is not in the store for {platform}, but for {here}"

    def lookup(self, text: str, platform: Platform | None = None) -> StoredImage | None:
        """As `find`; None when there is none. Raises UsageError for an ID that means several."""
        return self._chosen(self.named(text), platform)

    def by_name(self, name: Reference, platform: Platform | None = None) -> StoredImage | None:
        """The image of a reference; with a digest, the one with that manifest. Of an index as `find`."""
        return self._chosen(self._named(name), platform)

    def index_of(self, text: str) -> StoredIndex | None:
        """The index `text` names, as `find`; None when there is none, or it names an image itself."""
        found = self.named(text)
        return found if isinstance(found, StoredIndex) else None

    def named(self, text: str) -> StoredImage | StoredIndex | None:
        """What `text` names, as `find`, be it an image or an index; None when there is none. Raises UsageError."""
        try:
            found = self._named(Reference.parse(text))
        except PybuildError:
            found = None
        if found is None and (match := _ID.match(text)) is not None:
            found = self._by_prefix(text, match[1])
        return found

    def by_manifest(self, digest: Digest) -> StoredImage:
        """The image with this manifest. Raises NotFoundError."""
        found = self._one(digest.hex)
        if found is None:
            raise NotFoundError(f"no image has the manifest {digest}")
        return found

    def holder(self, name: Reference) -> Digest | None:
        """The manifest or the index that has this name; None when nothing has."""
        row = self._db.row("SELECT manifest FROM refs WHERE name = ?", (str(name.tagged()),))
        return None if row is None else Digest(row[0])

    def has(self, image: StoredImage | StoredIndex) -> bool:
        """Whether the image or the index is still there."""
        return self._at(digest_of(image).hex) is not None

    def all(self) -> list[StoredImage]:
        """Every image, newest first, also those that are only in indexes."""
        names = self._names()
        rows = self._db.rows(f"SELECT {_COLUMNS} FROM images ORDER BY added DESC, manifest")
        return [_image(row, names.get(row[0], ())) for row in rows]

    def indexes(self) -> list[StoredIndex]:
        """Every index, newest first."""
        names = self._names()
        return [_stored_index(row, names.get(row[0], ())) for row in self._indexes.rows()]

    def members(self, index: StoredIndex) -> list[Member]:
        """The images of an index, in its order, be they here or not. Raises BadInputError, NotFoundError."""
        return [
            Member(entry.descriptor, entry.platform, self._one(entry.descriptor.digest.hex))
            for entry in self.document(index).images
        ]

    def dangling(self, users: Collection[str], *, named: bool = False) -> Iterator[StoredImage | StoredIndex]:
        """What nothing asks for: without a name, with `named` also with one; nor of `users`, IDs of images.

        An index comes before its images, which count as its own: they are given only once it is gone.
        """
        for index in self.indexes():
            used = any(m.image is not None and str(m.image.config) in users for m in self._known_members(index))
            if (named or not index.names) and not used:
                yield index
        for image in self.all():
            if (named or not image.names) and str(image.config) not in users and not self.within(image):
                yield image

    def only_in(self, index: StoredIndex) -> list[StoredImage]:
        """The images that go with an index: without a name, and in no other one."""
        found = [m.image for m in self._known_members(index) if m.image is not None]
        return [image for image in found if not image.names and len(self.within(image)) == 1]

    def within(self, image: StoredImage) -> list[StoredIndex]:
        """The indexes an image is in."""
        rows = [self._indexes.row(digest) for digest in self._indexes.naming(image.manifest.digest)]
        return [self._index(row) for row in rows if row is not None]

    def shown(self, image: StoredImage) -> tuple[str, ...]:
        """The names of an image, and those of indexes of which it is the only image here: they look as it does."""
        more = (name for index in self.within(image) if self._alone(image, index) for name in index.names)
        return tuple(dict.fromkeys((*image.names, *more)))

    def standing_for(self, image: StoredImage) -> StoredImage | StoredIndex:
        """What an ID means that is listed as that of `image`: the index of which it is the only image here, if any."""
        within = self.within(image)
        return within[0] if not image.names and len(within) == 1 and self._alone(image, within[0]) else image

    def _alone(self, image: StoredImage, index: StoredIndex) -> bool:
        return [m.image for m in self._known_members(index) if m.image is not None] == [image]

    def called(self, image: StoredImage) -> tuple[str, ...]:
        """The names of an image, and those of indexes with its platform: `app:latest (linux/arm64)`. For people."""
        found = list(image.names)
        for index in self.within(image):
            here = (m.platform for m in self._known_members(index) if m.manifest.digest == image.manifest.digest)
            platform = next(here, None)
            found += [f"{name} ({platform or 'no platform'})" for name in index.names]
        return tuple(found)

    def _known_members(self, index: StoredIndex) -> list[Member]:
        """As `members`; none for an index that is damaged: `cache verify` tells of it."""
        try:
            return self.members(index)
        except (BadInputError, NotFoundError):
            return []

    def document(self, index: StoredIndex) -> Index:
        """What an index says. Raises BadInputError, NotFoundError when its blob is damaged or gone."""
        return self._indexes.document(index.descriptor)

    def _names(self) -> dict[str, tuple[str, ...]]:
        names: dict[str, tuple[str, ...]] = {}
        for name, manifest in self._db.rows("SELECT name, manifest FROM refs ORDER BY name"):
            names[manifest] = (*names.get(manifest, ()), shortened(name))
        return names

    def _named(self, name: Reference) -> StoredImage | StoredIndex | None:
        if name.digest is not None:
            return self._at(name.digest.hex) or self._published(name)
        holder = self.holder(name)
        return None if holder is None else self._at(holder.hex)

    def _published(self, name: Reference) -> StoredImage | StoredIndex | None:
        """What a repository has by that digest, where it was pushed from here in another form."""
        # lazy: few names have digests
        from builder.store.elsewhere import Elsewhere

        assert name.digest is not None
        here = Elsewhere(self._db).published(name, name.digest)
        return None if here is None else self._at(here.hex)

    def _at(self, digest: str) -> StoredImage | StoredIndex | None:
        """The image with this manifest, or the index with this digest."""
        image = self._one(digest)
        if image is not None:
            return image
        row = self._indexes.row(digest)
        return None if row is None else self._index(row)

    def _chosen(self, found: StoredImage | StoredIndex | None, platform: Platform | None) -> StoredImage | None:
        if not isinstance(found, StoredIndex):
            return found
        document = self.document(found)
        try:
            best = document.select(platform or host()).digest
        except NotFoundError:
            best = None
        chosen = None if best is None else self._one(best.hex)
        if chosen is None and platform is None:
            return next((member.image for member in self.members(found) if member.image is not None), None)
        return chosen

    def _by_prefix(self, text: str, prefix: str) -> StoredImage | StoredIndex | None:
        rows = self._db.rows(
            "SELECT config, MAX(manifest) FROM images WHERE substr(config, 1, ?) = ? GROUP BY config LIMIT 2",
            (len(prefix), prefix),
        )
        begun = [*(manifest for _, manifest in rows), *self._indexes.beginning(prefix)]
        if len(begun) > 1:
            raise UsageError(f"{text} begins the IDs of several images", hint="give more digits")
        return self._at(begun[0] if begun else prefix)

    def _one(self, manifest: str) -> StoredImage | None:
        row = self._db.row(f"SELECT {_COLUMNS} FROM images WHERE manifest = ?", (manifest,))
        return None if row is None else _image(row, self._names_of(manifest))

    def _index(self, row: Any) -> StoredIndex:
        return _stored_index(row, self._names_of(row[0]))

    def _names_of(self, digest: str) -> tuple[str, ...]:
        names = self._db.rows("SELECT name FROM refs WHERE manifest = ? ORDER BY name", (digest,))
        return tuple(shortened(name) for (name,) in names)


def identity(image: StoredImage | StoredIndex) -> Digest:
    """The ID that is shown to people: the digest of an image's config, or the index's own."""
    return image.descriptor.digest if isinstance(image, StoredIndex) else image.config


def digest_of(image: StoredImage | StoredIndex) -> Digest:
    """What an image or an index is known by: the digest of its manifest, or its own."""
    return image.descriptor.digest if isinstance(image, StoredIndex) else image.manifest.digest


def _stored_index(row: Any, names: tuple[str, ...]) -> StoredIndex:
    digest, media_type, size, added = row
    return StoredIndex(Descriptor(media_type, Digest(digest), size), added, names)


def _image(row: Any, names: tuple[str, ...]) -> StoredImage:
    manifest, media_type, size, config, added = row
    return StoredImage(Descriptor(media_type, Digest(manifest), size), Digest(config), added, names)
