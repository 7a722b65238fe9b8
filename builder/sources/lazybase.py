"""Base images of which only manifest and config are read, as long as a shared cache knows what their layers hold."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from builder.digest import Digest
from builder.events import Emit
from builder.image import pulling
from builder.image.config import ImageConfig
from builder.image.descriptor import Layer
from builder.image.manifest import Manifest
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.sources.ingest import Ingest
from builder.sources.resolver import DescribingResolver
from builder.store.images import StoredImage

# Content ID and plain size of a layer, by diff ID, where they are known.
Facts = Callable[[Digest], tuple[Digest, int] | None]
# Is told of an image that is not here: its manifest, its layers, and what pulls it.
Left = Callable[[Digest, tuple[Layer, ...], Callable[[], object]], object]


class LazyResolver(DescribingResolver):
    """Finds base images as ImageResolver does, but leaves those where they are whose layers `facts` knows."""

    def __init__(
        self, facts: Facts, left: Left, ingest: Ingest, directory: str, emit: Emit, pull: str = pulling.MISSING
    ) -> None:
        super().__init__(ingest, directory, emit, pull)
        self._facts, self._left = facts, left

    def _pulled(self, name: Reference, platform: Platform, local: StoredImage | None) -> StoredImage:
        manifest, digest, config = self._peeked(name, platform)
        if local is not None and local.manifest.digest == digest:
            return local
        layers = self._known(manifest, config)
        if layers is None:
            return self._unknown(name, platform, local, digest, config)
        self._left(digest, layers, lambda: self._pull_it(name, digest, platform))
        return self._described(digest, config)

    def _known(self, manifest: Manifest, config: ImageConfig) -> tuple[Layer, ...] | None:
        """Its layers, if what they hold is known of all."""
        facts = [self._facts(diff_id) for diff_id in config.diff_ids]
        if len(facts) != len(manifest.layers):
            return None
        known = [
            Layer(diff_id, fact[0], fact[1], blob)
            for diff_id, fact, blob in zip(config.diff_ids, facts, manifest.layers, strict=True)
            if fact is not None
        ]
        return tuple(known) if len(known) == len(facts) else None

    def _unknown(
        self, name: Reference, platform: Platform, local: StoredImage | None, digest: Digest, config: ImageConfig
    ) -> StoredImage:
        return super()._pulled(name, platform, local)

    def _pull_it(self, name: Reference, digest: Digest, platform: Platform) -> None:
        """Pull what was found by that name, which may mean another image by now."""
        # lazy: most builds have their bases already
        from builder.sources.pull import pull

        image = pull(name, platform, self._ingest, self._emit).image
        if image.manifest.digest != digest:
            image = pull(replace(name, digest=digest), platform, self._ingest, self._emit).image
        self._ingest.store.images.claim(image)


class LazyPeekingResolver(LazyResolver):
    """As LazyResolver, and pulls nothing at all: see PeekingResolver."""

    def _unknown(
        self, name: Reference, platform: Platform, local: StoredImage | None, digest: Digest, config: ImageConfig
    ) -> StoredImage:
        return self._described(digest, config)
