"""What a container was made to be: the image's config with the words of `run` over it, as Docker keeps it."""

from __future__ import annotations

import json
from pathlib import Path

from msgspec.structs import replace

from builder.errors import NotFoundError
from builder.image.config import ImageConfig
from builder.linux.files import write_atomically
from builder.request import RunRequest

_NAME = "config.json"


def configured(request: RunRequest, config: ImageConfig) -> ImageConfig:
    """The image's config with what `request` says instead."""
    entrypoint, cmd = config.entrypoint, request.command or config.cmd
    if request.entrypoint is not None:
        # As in Docker: another entrypoint takes the image's command away too.
        entrypoint, cmd = (request.entrypoint,) if request.entrypoint else None, request.command or None
    return replace(
        config,
        entrypoint=entrypoint,
        cmd=cmd,
        env=tuple((dict(config.env) | dict(request.env)).items()),
        user=config.user if request.user is None else request.user,
        working_dir=request.workdir or config.working_dir,
    )


def keep(path: Path, config: ImageConfig) -> None:
    """Keep a container's config in its directory, for its owner alone: variables may be secret.

    Words that are no text, which JSON cannot hold, get U+FFFD in it as they do with Docker.
    """
    text = json.dumps(config.document(), ensure_ascii=False)
    data = text.encode(errors="surrogateescape").decode(errors="replace").encode()
    write_atomically(f"{path}/{_NAME}", data, 0o600)


def kept(path: Path) -> ImageConfig:
    """The config of the container in the directory `path`. Raises NotFoundError before it has one."""
    try:
        return ImageConfig.from_json((path / _NAME).read_bytes())
    except FileNotFoundError:
        raise NotFoundError("the container is not complete yet, or is being removed") from None
