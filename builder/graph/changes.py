"""What a user changes of what a Buildfile says, by options that buildah and podman have. Pure."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from builder.graph.vertex import HostPath, Run
from builder.image.config import ImageConfig


class Changes(Struct, frozen=True):
    """`base` stands in place of the image of the first FROM. `env` is set in every stage before its first line.

    `unset_labels` are not taken over from base images; the image has no `unset_env`, and with `omit_history` no
    history. `host_paths` and `confined` are those of every RUN (graph/vertex).
    """

    base: str = ""
    env: tuple[tuple[str, str], ...] = ()
    unset_env: tuple[str, ...] = ()
    unset_labels: tuple[str, ...] = ()
    omit_history: bool = False
    host_paths: tuple[HostPath, ...] = ()
    confined: tuple[str, ...] = ()

    def of_base(self, config: ImageConfig) -> ImageConfig:
        """What a stage takes over of the config of its base image."""
        if not self.unset_labels:
            return config
        return replace(config, labels=tuple(pair for pair in config.labels if pair[0] not in self.unset_labels))

    def of_image(self, config: ImageConfig) -> ImageConfig:
        """The config of the image, of what its Buildfile makes it."""
        if self.unset_env:
            config = replace(config, env=tuple(pair for pair in config.env if pair[0] not in self.unset_env))
        return replace(config, history=()) if self.omit_history else config

    def of_run(self, vertex: Run) -> Run:
        """A RUN as it is to be."""
        if not (self.host_paths or self.confined):
            return vertex
        return replace(vertex, host_paths=self.host_paths, confined=self.confined)


NO_CHANGES = Changes()
