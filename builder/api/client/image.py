"""`Image`: an image of a store, as programs use it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from builder.api.client.place import Place
from builder.api.images import untag
from builder.api.session import Session
from builder.image.config import ImageConfig
from builder.image.descriptor import Layer
from builder.image.platform import Platform
from builder.store.catalog import StoredImage
from builder.store.indexes import StoredIndex

if TYPE_CHECKING:
    from builder.views.filetree import TreeRow
    from builder.views.history import HistoryRow


class Image(Struct, frozen=True, eq=False):
    """An image as it was when it was asked for: what is done with it later does not change it.

    `id` is the digest of its config, of one for several platforms that of its index; `digest` that of its manifest, or
    of that index. `names` are its references, as people write them. `config` is what it says besides its files, and
    `layers` are its layers, the bottom first; of an image for several platforms both are those for this machine, or the
    first that is here. `platforms` are those that are here, as `linux/amd64`.
    """

    place: Place
    id: str
    digest: str
    names: tuple[str, ...]
    platforms: tuple[str, ...]
    config: ImageConfig
    layers: tuple[Layer, ...]

    def __repr__(self) -> str:
        return f"<Image {self.names[0] if self.names else self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and (self.digest, self.place.root) == (other.digest, other.place.root)

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def platform(self) -> str:
        """What `config` and `layers` are for, as `linux/amd64`."""
        return str(self.config.platform)

    @property
    def size(self) -> int:
        """Bytes of its layers, not compressed."""
        return sum(layer.size for layer in self.layers)

    def history(self) -> list[HistoryRow]:
        """The steps it was made by, the newest first, each with its layer's bytes, and its line if that is known."""
        # lazy: it knows of what solves graphs
        from builder.api.images import history

        return self.place.do(lambda session: history(session, self.digest))[1]

    def files(self, path: str = "/") -> list[TreeRow]:
        """What is at `path` and below it, all layers as one: path, type, mode, owner and size of each, in order.

        Raises NotFoundError, BadInputError for a layer that is damaged.
        """
        # lazy: it reads layers
        from builder.api.insight import tree

        return self.place.do(lambda session: tree(session, f"{self.digest}:/{path.lstrip('/')}"))

    def read(self, path: str) -> bytes:
        """What is in the regular file `path`, links followed inside the image.

        Raises NotFoundError, UsageError for what is no regular file, BadInputError.
        """
        # lazy: as above
        from builder.api.insight import cat

        return self.place.do(lambda session: b"".join(cat(session, f"{self.digest}:/{path.lstrip('/')}")))

    def tag(self, *names: str) -> Image:
        """Give it more names; returns it as it is now. Raises UsageError for what is no name."""
        # lazy: who reads images names none
        from builder.api.images import tag

        def work(session: Session) -> Image:
            for name in names:
                tag(session, self.digest, name)
            return described(session, self.place, self.digest, "")

        return self.place.do(work)

    def untag(self, name: str) -> None:
        """Take a name away; with the last one the image goes. Raises NotFoundError, UsageError while it is used."""
        self.place.do(lambda session: untag(session, [name]))

    def remove(self, *, force: bool = False) -> None:
        """Take it out of the store, with all its names. Raises NotFoundError.

        Raises UsageError for one of several names, or that a container has, unless `force`.
        """
        self.place.do(lambda session: untag(session, [self.id], force=force))

    def push(self, *names: str, sign_key: str | None = None) -> str:
        """Send it to registries by `names`, without any by all it has; `sign_key`: signed with the key in that file.

        Returns the digest it has there. Raises RegistryError, UsageError, BadInputError for a file that is no key.
        """
        # lazy: HTTP
        from builder.api.push import named, push_as

        pairs = [(self.digest, named(name)) for name in names or self.names]

        def work(session: Session) -> str:
            pushed = push_as(session, pairs, lambda line: None, {}, sign_key=sign_key)
            return str(pushed[-1].descriptor.digest) if pushed else self.digest

        return self.place.do(work)

    def save(
        self, path: str | os.PathLike[str], *, format: Literal["oci", "docker"] = "oci", platform: str = ""
    ) -> None:
        """Write it to an archive, with its names, in OCI's form or in that of `docker save`.

        With `platform`, of one for several the image for that. Raises UsageError, StoreError.
        """
        self._written(format, path, platform)

    def export(
        self, path: str | os.PathLike[str], *, format: Literal["local", "tar"] = "local", platform: str = ""
    ) -> None:
        """Write its files, all layers as one: into a directory, which must be new or empty, or to a tar.

        Raises UsageError for a directory that has something in it.
        """
        self._written(format, path, platform)

    def _written(self, kind: str, path: str | os.PathLike[str], platform: str) -> None:
        # lazy: what compresses
        from builder.api.save import save

        self.place.do(lambda session: save(session, [self.digest], kind, os.fspath(path), {}, platform))


def described(session: Session, place: Place, text: str, platform: str) -> Image:
    """The image `text` names; see Store.image."""
    known = session.store.images
    found = known.named(text)
    image = known.find(text, Platform.parse(platform) if platform else None)
    if isinstance(found, StoredIndex) and not platform:
        return _of_index(session, place, found, image)
    return _alone(session, place, image)


def all_images(session: Session, place: Place) -> list[Image]:
    """Every image; see Store.images."""
    known = session.store.images
    indexes = known.indexes()
    found = [(image.added, _alone(session, place, image)) for image in known.all() if not known.within(image)]
    for index in indexes:
        here = [member.image for member in known.members(index) if member.image is not None]
        if here:
            found.append((index.added, _of_index(session, place, index, here[0])))
    return [image for _, image in sorted(found, key=lambda pair: -pair[0])]


def _alone(session: Session, place: Place, image: StoredImage) -> Image:
    known = session.store.images
    config = known.config(image)
    layers = known.layers(image.manifest.digest)
    digest, names = str(image.manifest.digest), known.shown(image)
    return Image(place, str(image.config), digest, names, (str(config.platform),), config, layers)


def _of_index(session: Session, place: Place, index: StoredIndex, image: StoredImage) -> Image:
    known = session.store.images
    here = [member for member in known.members(index) if member.image is not None]
    config = known.config(image)
    digest, platforms = str(index.descriptor.digest), tuple(str(member.platform) for member in here)
    return Image(place, digest, digest, index.names, platforms, config, known.layers(image.manifest.digest))
