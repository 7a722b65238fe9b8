"""The archive of `docker save`: manifest.json, configs, plain layers (Docker image spec v1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from builder.digest import Digest
from builder.export.base import Export, written
from builder.image.descriptor import Layer
from builder.image.mediatypes import compression_of
from builder.layers import compress
from builder.layers.tarstream import TarStream

OPTIONS: tuple[str, ...] = ()


def export_docker(export: Export, destination: str, options: Mapping[str, str]) -> None:
    """Write the images so that `docker load` and `podman load` take them."""
    with written(destination) as out:
        tar = TarStream(out)
        done: set[Digest] = set()
        saved: list[dict[str, Any]] = []
        for image in export.images:
            for layer in image.layers:
                if layer.diff_id not in done:
                    done.add(layer.diff_id)
                    _layer(export, tar, layer)
            config = image.manifest.config.digest
            if config not in done:
                done.add(config)
                tar.add(f"{config.hex}.json", image.config)
            saved.append(
                {
                    "Config": f"{config.hex}.json",
                    "RepoTags": [name.familiar() for name in image.names],
                    "Layers": [f"{layer.diff_id.hex}/layer.tar" for layer in image.layers],
                }
            )
        tar.add("manifest.json", msgspec.json.encode(saved))
        tar.finish()


def _layer(export: Export, tar: TarStream, layer: Layer) -> None:
    blob = export.blobs.open(layer.blob)
    plain = compress.reader(compression_of(layer.blob.media_type), blob)
    tar.copy(f"{layer.diff_id.hex}/layer.tar", layer.size, plain)
    blob.drain()
