"""The closed set of vertices: one step that makes a layer (or a base), as frozen, comparable data.

A vertex names its inputs by `VertexId`, their index in `Graph.vertices` (a graph is a topological
order: inputs come first). That keeps comparing and hashing flat, however deep a chain is.

Every field says whether it is part of the cache key: `key_in()` puts its value into the key's
pre-image, `key_out(reason)` leaves it out, `key_input()` marks an input that enters as the content
it stands for. tests/arch/test_keys.py fails on a field that says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NewType

from builder.digest import Digest
from builder.image.config import ImageConfig
from builder.image.platform import Platform

VertexId = NewType("VertexId", int)


def key_in(**options: Any) -> Any:
    """A field whose value is part of the key."""
    return field(metadata={"key": "in"}, **options)


def key_input(**options: Any) -> Any:
    """A field that names an input: its content, not its index, is part of the key."""
    return field(metadata={"key": "input"}, **options)


def key_out(reason: str, **options: Any) -> Any:
    """A field that is no part of the key, because of `reason`."""
    return field(metadata={"key": f"out: {reason}"}, **options)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a vertex comes from, for people: name to show, stage, Buildfile line."""

    name: str
    stage: str = ""
    line: int = 0


_ORIGIN = "moving or renaming a line must not re-run it"


@dataclass(frozen=True, slots=True)
class Scratch:
    """No files at all."""

    platform: Platform = key_in()
    origin: Origin = key_out(_ORIGIN, default=Origin("FROM scratch"))


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image made elsewhere, resolved to a manifest."""

    manifest: Digest = key_in()
    reference: str = key_out("the manifest is what counts, not its name")
    platform: Platform = key_out("the manifest is of one platform")
    origin: Origin = key_out(_ORIGIN)


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A heredoc file: its name and its content, expanded."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """A command on top of `parent`. `scripts` are heredocs shown to it at /dev/pipes/<name>.

    `env` is all the command sees, sorted by name. `proxy_env` are predefined proxy arguments: seen by the
    command, no part of the key, never in history.
    """

    parent: VertexId = key_input()
    argv: tuple[str, ...] = key_in()
    env: tuple[tuple[str, str], ...] = key_in()
    cwd: str = key_in()
    user: str = key_in()
    network: str = key_in()
    platform: Platform = key_in()
    scripts: tuple[InlineFile, ...] = key_in(default=())
    proxy_env: tuple[tuple[str, str], ...] = key_out("the way to the network must not change the result", default=())
    origin: Origin = key_out(_ORIGIN, default=Origin(""))


@dataclass(frozen=True, slots=True)
class Copy:
    """Files copied onto `parent`: from `source` (a vertex), or from the build context when None.

    `paths` are patterns relative to the source's root, cleaned, without a leading slash; `inline`
    are heredoc files. `destination` is absolute; a trailing slash is kept and means a directory.
    `unpack` is ADD's: local archives are unpacked.
    """

    parent: VertexId = key_input()
    source: VertexId | None = key_input()
    paths: tuple[str, ...] = key_in()
    destination: str = key_in()
    inline: tuple[InlineFile, ...] = key_in(default=())
    chown: str = key_in(default="")
    chmod: str = key_in(default="")
    unpack: bool = key_in(default=False)
    origin: Origin = key_out(_ORIGIN, default=Origin(""))


@dataclass(frozen=True, slots=True)
class Workdir:
    """A directory made on `parent` where it is missing, owned by `user` (as in USER)."""

    parent: VertexId = key_input()
    path: str = key_in()
    user: str = key_in(default="")
    origin: Origin = key_out(_ORIGIN, default=Origin(""))


Vertex = Scratch | BaseImage | Run | Copy | Workdir


@dataclass(frozen=True, slots=True)
class Graph:
    """Vertices in topological order, the one the target's files come from, and its config.

    `config` is whole but for the root file system's diff IDs; its history marks the entries that
    have a layer, in the order of the layers above the base.
    """

    vertices: tuple[Vertex, ...]
    top: VertexId
    config: ImageConfig
    warnings: tuple[tuple[str, str], ...] = ()


def inputs(vertex: Vertex) -> tuple[VertexId, ...]:
    """The vertices that must be solved before `vertex`, parent first."""
    match vertex:
        case Scratch() | BaseImage():
            return ()
        case Copy(parent=parent, source=source):
            return (parent,) if source is None else (parent, source)
        case Run(parent=parent) | Workdir(parent=parent):
            return (parent,)
