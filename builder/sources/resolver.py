"""Finds base images: an OCI layout, the store, else a registry. Implements graph's `Resolver`."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable

from builder.digest import Digest
from builder.errors import NotFoundError, PybuildError, RegistryError
from builder.events import Emit, Warned
from builder.graph.lower import Base
from builder.image import pulling
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.sources.ingest import Ingest
from builder.store.images import StoredImage

LAYOUT = "oci-layout:"
# Makes a resolver for one build: of what takes images in, the directory of layouts, who watches, and when to pull.
Finder = Callable[[Ingest, str, Emit, str], "ImageResolver"]


class Remembering(ABC):
    """A resolver that looks for each image once; `_base` says how."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, Platform], Base] = {}

    def base(self, reference: str, platform: Platform) -> Base:
        """The image `reference` for `platform`; see graph.lower.Resolver."""
        known = self._found.get((reference, platform))
        if known is None:
            known = self._found[reference, platform] = self._base(reference, platform)
        return known

    @abstractmethod
    def _base(self, reference: str, platform: Platform) -> Base:
        """The image, looked for."""


class ImageResolver(Remembering):
    """Base images for one build. Layout paths are relative to `directory`, the build context.

    `fetched` are the manifests of those that were pulled.

    `pull` says when a registry is asked (image/pulling): for what the store does not have (missing) or for every name,
    so that a newer one is found (always); then only what the registry has will do, or else what is in the store, too
    (newer). With never, only the store. What is named by digest or ID cannot be newer, and a layout is read each time.
    """

    def __init__(self, ingest: Ingest, directory: str, emit: Emit, pull: str = pulling.MISSING) -> None:
        super().__init__()
        self._ingest, self._directory, self._emit, self._pull = ingest, directory, emit, pull
        self.fetched: set[Digest] = set()

    def _base(self, reference: str, platform: Platform) -> Base:
        image = self._image(reference, platform)
        while True:
            try:
                return Base(reference, image.manifest.digest, self._config(image))
            except NotFoundError:
                gone, image = image, self._image(reference, platform)
                if image == gone:
                    raise  # not another that took its name

    def _config(self, image: StoredImage) -> ImageConfig:
        return self._ingest.store.images.claim(image)

    def _image(self, reference: str, platform: Platform) -> StoredImage:
        if reference.startswith(LAYOUT):
            self._verify(reference, None)
            return self._layout(reference.removeprefix(LAYOUT).removeprefix("//"), platform)
        local = self._ingest.store.images.lookup(reference, platform)
        if local is not None and (self._pull in (pulling.MISSING, pulling.NEVER) or not self._may_change(reference)):
            self._verify(reference, local)
            return local
        name = Reference.parse(reference)
        lacking = self._ingest.store.images.lacking(reference, platform)
        if self._pull == pulling.NEVER:
            message = lacking or f"{name.familiar()} is not in the store"
            raise NotFoundError(message, hint="without --pull=never it is pulled")
        try:
            image = self._pulled(name, platform, local)
        except (NotFoundError, RegistryError) as error:
            if lacking:
                raise type(error)(f"{lacking}, and {error.message}", hint=error.hint) from error
            if local is None:
                raise
            if self._pull == pulling.NEWER:
                self._emit(Warned(f"{name.familiar()} is taken from the store as it is: {error.message}"))
                self._verify(reference, local)
                return local
            hints = (error.hint, "--pull=newer takes what the store has, too")
            raise type(error)(error.message, hint="; ".join(filter(None, hints))) from error
        if local is None or local.manifest.digest != image.manifest.digest:
            self.fetched.add(image.manifest.digest)
        return image

    def _verify(self, reference: str, local: StoredImage | None) -> None:
        """Where all must be signed, what is pulled is looked at there; this is for what is here already."""
        if not self._ingest.verify_keys:
            return
        # lazy: few builds ask for it
        from builder.sources.signed import refuse, verify_stored

        if local is None or not self._is_name(reference):
            raise refuse(reference)
        verify_stored(Reference.parse(reference), local, self._ingest)

    def _pulled(self, name: Reference, platform: Platform, local: StoredImage | None) -> StoredImage:
        """What a registry has by that name; `local` is what the store has. Raises NotFoundError, RegistryError."""
        # lazy: most builds have their bases already
        from builder.sources.pull import pull

        return pull(name, platform, self._ingest, self._emit, again=self._named(name)).image

    def _named(self, name: Reference) -> bool:
        """Whether the store has something of that name, be it for another platform."""
        return self._ingest.store.images.named(str(name)) is not None

    def _may_change(self, reference: str) -> bool:
        """Whether `reference`, which the store knows, is a name that can come to mean another image."""
        return self._is_name(reference) and Reference.parse(reference).digest is None

    def _is_name(self, reference: str) -> bool:
        """Whether it is by `reference` as a name that the store has what it knows by it, and not by an ID."""
        try:
            name = Reference.parse(reference)
        except PybuildError:
            return False
        return self._ingest.store.images.by_name(name) is not None

    def _layout(self, text: str, platform: Platform) -> StoredImage:
        # lazy: tarfile
        from builder.sources.layout import load_layout

        path, at, digest = text.rpartition("@")
        tag = None
        if not at:
            # The rest after a directory that is there: a tag, or an image's whole name, which has a colon of its own.
            parts = text.split(":")
            ways = [(":".join(parts[:n]), ":".join(parts[n:])) for n in range(len(parts), 0, -1)]
            path, tag = next((w for w in ways if os.path.isdir(os.path.join(self._directory, w[0]))), ways[-1])
        directory = os.path.join(self._directory, path)
        return load_layout(directory, tag or None, platform, self._ingest, Digest.parse(digest) if at else None)


class DescribingResolver(ImageResolver):
    """One that can answer with an image of which only manifest and config were read, and nothing is kept."""

    def __init__(self, ingest: Ingest, directory: str, emit: Emit, pull: str = pulling.MISSING) -> None:
        super().__init__(ingest, directory, emit, pull)
        self._configs: dict[Digest, ImageConfig] = {}

    def _peeked(self, name: Reference, platform: Platform) -> tuple[Manifest, Digest, ImageConfig]:
        """What would be pulled: its manifest, the digest of that, and its config. Raises as `_pulled` does."""
        # lazy: as above
        from builder.sources.pull import peek

        return peek(name, platform, self._ingest, again=self._named(name))

    def _described(self, digest: Digest, config: ImageConfig) -> StoredImage:
        self._configs[digest] = config
        return StoredImage(Descriptor("", digest, 0), digest, 0.0, ())

    def _config(self, image: StoredImage) -> ImageConfig:
        found = self._configs.get(image.manifest.digest)
        return super()._config(image) if found is None else found


class PeekingResolver(DescribingResolver):
    """Finds the same, but pulls nothing: of what would be pulled only manifest and config are read, and not kept."""

    def _pulled(self, name: Reference, platform: Platform, local: StoredImage | None) -> StoredImage:
        _, digest, config = self._peeked(name, platform)
        if local is not None and local.manifest.digest == digest:
            return local
        return self._described(digest, config)
