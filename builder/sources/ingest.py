"""Images from outside into the store: the one place where loaded, pulled and imported images come in."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from builder.digest import Digest, Reader
from builder.errors import BadInputError
from builder.events import Emit, ignore
from builder.image.config import History, ImageConfig, timestamp
from builder.image.descriptor import Annotations, Descriptor, Layer
from builder.image.manifest import Manifest
from builder.image.mediatypes import compression_of
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.store.images import StoredImage
from builder.store.open import Store

if TYPE_CHECKING:
    from builder.layers.bounds import Bounds
    from builder.registry.endpoints import Registries
    from builder.sandbox.launcher import Launcher
    from builder.snapshots.receive import Hold


class Ingest:
    """Takes images into `store`.

    `launcher` is asked for when a layer must be unpacked, and `bounds`: how large it may become. `registries` are asked
    for when something must be fetched. `verify_keys` are files with keys: what is taken from the store must be signed
    with one of them, too. `emit` is told how far the taking in of archives is.
    """

    def __init__(
        self,
        store: Store,
        launcher: Callable[[], Launcher],
        registries: Callable[[], Registries],
        bounds: Callable[[], Bounds],
        *,
        verify_keys: tuple[str, ...] = (),
        emit: Emit = ignore,
    ) -> None:
        self.store, self.verify_keys, self.emit = store, verify_keys, emit
        self._launcher, self._registries, self._bounds = launcher, registries, bounds

    @property
    def root(self) -> Path:
        """The store's directory."""
        return self.store.root

    @property
    def registries(self) -> Registries:
        """Where images are fetched from."""
        return self._registries()

    def begin(self) -> None:
        """Start what unpacks layers, while there is one thread: `layer` may then be called by many."""
        self._launcher()

    def layer(
        self,
        source: Reader,
        blob: Descriptor | None,
        what: str,
        diff_id: Digest | None = None,
        hold: Hold | None = None,
    ) -> Layer:
        """One layer, which must have `diff_id` if that is known; see snapshots.receive."""
        # lazy: unpacking is for what is not here yet
        from builder.snapshots.receive import Wanted, receive, unheld

        wanted = Wanted(blob, diff_id, self._bounds())
        layer = receive(self._launcher(), self.root, source, wanted, what, hold or unheld)
        self.store.layers.add(layer)
        return layer

    def known(self, blob: Descriptor) -> Layer | None:
        """The layer of this blob when the store has both; they stay, as Leases.use says."""
        self.store.leases.use([blob.digest])
        layer = self.store.layers.by_blob(blob.digest)
        if layer is None:
            return None
        self.store.leases.use([layer.diff_id])
        there = self.store.layers.get(layer.diff_id) is not None and self.store.blobs.holds(layer.blob)
        return layer if there else None

    def image(
        self,
        manifest: Manifest,
        data: bytes,
        config: bytes,
        layers: list[Layer],
        names: tuple[Reference, ...],
        index: tuple[Descriptor, bytes] | None = None,
    ) -> StoredImage:
        """An image as it was made elsewhere, its bytes unchanged. Raises BadInputError when its parts disagree.

        With an `index` that the image is in, and its bytes, that is kept and named.
        """
        self.parts(config, layers, manifest)
        if index is None:
            return self.store.images.add(manifest, data, names)
        self.store.images.add_index(*index, names, [(manifest, data)])
        return self.store.images.by_manifest(Digest.of(data))

    def parts(self, config: bytes, layers: list[Layer], manifest: Manifest | None = None) -> None:
        """What an image is made of, before it is one; with the `manifest` it has, if that was made elsewhere.

        Raises BadInputError when it disagrees.
        """
        if ImageConfig.from_json(config).diff_ids != tuple(layer.diff_id for layer in layers):
            raise BadInputError("the image's config names other layers than the image has")
        self.store.blobs.put_bytes(config)
        if manifest is not None:
            # Archives have plain layers for the sake of who reads them, not of what is in them.
            packed = (blob for blob in manifest.layers if compression_of(blob.media_type) != "uncompressed")
            self.store.elsewhere.note_received(blob.digest for blob in packed)

    def assembled(
        self, config: bytes, layers: list[Layer], names: tuple[Reference, ...], annotations: Annotations = ()
    ) -> StoredImage:
        """An image with a manifest made here, of a config as it is and layers as the store has them."""
        manifest = replace(Manifest.of(config, layers), annotations=annotations)
        self.parts(config, layers)
        return self.store.images.add(manifest, manifest.to_json(), names)

    def rootfs(
        self,
        source: Reader,
        platform: Platform,
        name: Reference,
        created_by: str,
        config: ImageConfig | None = None,
        created: float | None = None,
    ) -> StoredImage:
        """An image of one layer, made of a root file system's tar, compressed or not, `created` then or now."""
        layer = self.layer(source, None, "the root file system")
        made = timestamp(time.time() if created is None else created)
        whole = replace(
            config or ImageConfig(platform=platform),
            created=made,
            history=(History(created_by=created_by, created=made, comment="imported"),),
            diff_ids=(layer.diff_id,),
        )
        return self.assembled(whole.to_json(), [layer], (name,))


def check_layers(manifest: Manifest) -> None:
    """Refuse an image whose layers are of a kind that cannot be read, before any is fetched."""
    for layer in manifest.layers:
        compression_of(layer.media_type)
