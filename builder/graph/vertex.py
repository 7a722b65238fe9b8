"""The closed set of vertices: one step that makes a layer (or a base), as frozen, comparable data.

A vertex names its inputs by `VertexId`, their index in `Graph.vertices` (a graph is a topological
order: inputs come first). That keeps comparing and hashing flat, however deep a chain is.

All fields of a vertex are part of its cache key, in what keys/preimage makes of it, but for those a class
declares otherwise: `INPUTS` enter as the content they stand for, `LEFT_OUT` not at all, for the reason given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NewType

from msgspec import Struct

from builder.digest import Digest
from builder.graph.attempts import Attempts
from builder.image.config import ImageConfig
from builder.image.platform import Platform

VertexId = NewType("VertexId", int)


class Keyed(Struct, frozen=True):
    """A part of a cache key. `INPUTS` names the fields that hold a VertexId (or None).

    `TAKES` is the one of them of which only some files may be taken: it enters as those.
    """

    INPUTS: ClassVar[tuple[str, ...]] = ()
    TAKES: ClassVar[str] = ""
    LEFT_OUT: ClassVar[Mapping[str, str]] = {}

    def left_out(self) -> Mapping[str, str]:
        """The fields that are no part of this one's key, each with the reason."""
        return self.LEFT_OUT


class Origin(Struct, frozen=True):
    """Where a vertex comes from, for people: name to show, stage, Buildfile line."""

    name: str
    stage: str = ""
    line: int = 0


_ORIGIN = {"origin": "moving or renaming a line must not re-run it"}


class Scratch(Keyed, frozen=True):
    """No files at all."""

    LEFT_OUT: ClassVar[Mapping[str, str]] = _ORIGIN

    platform: Platform
    origin: Origin = Origin("FROM scratch")


class BaseImage(Keyed, frozen=True):
    """An image made elsewhere, resolved to a manifest."""

    LEFT_OUT: ClassVar[Mapping[str, str]] = {
        "reference": "the manifest is what counts, not its name",
        "platform": "the manifest is of one platform",
        **_ORIGIN,
    }

    manifest: Digest
    reference: str
    platform: Platform
    origin: Origin


class InlineFile(Keyed, frozen=True):
    """A heredoc file: its name and its content, expanded."""

    name: str
    content: bytes


class UrlFile(Keyed, frozen=True):
    """One file fetched from a URL, called `name`. What was fetched is part of the key, not from where."""

    LEFT_OUT: ClassVar[Mapping[str, str]] = {
        "url": "what it gives is what counts",
        "checksum": "it is checked whenever the URL is read",
        **_ORIGIN,
    }

    url: str
    name: str
    checksum: Digest | None = None
    origin: Origin = Origin("")


class GitTree(Keyed, frozen=True):
    """The files of a git repository at a commit, or of a directory of it. `checksum` begins the commit's hash."""

    LEFT_OUT: ClassVar[Mapping[str, str]] = {
        "remote": "the commit is what counts, wherever it is; a kept .git, which names it, is part of what was read",
        "ref": "the commit it names is what counts",
        "checksum": "it is checked whenever the ref is read",
        **_ORIGIN,
    }

    remote: str
    ref: str
    subdir: str = ""
    keep_git_dir: bool = False
    submodules: bool = True
    checksum: str = ""
    origin: Origin = Origin("")


class BindMount(Keyed, frozen=True):
    """Files shown at `target`: `source` in the vertex `origin`, or in a build context when that is None.

    What the command writes to a writable one is seen by it alone and is gone afterwards.
    """

    INPUTS: ClassVar[tuple[str, ...]] = ("origin",)
    TAKES: ClassVar[str] = "origin"

    target: str
    source: str
    origin: VertexId | None = None
    context: str = ""
    writable: bool = False


class CacheMount(Keyed, frozen=True):
    """A directory that outlives builds, called `id`; new ones begin as `source` in the vertex `origin`, or empty."""

    INPUTS: ClassVar[tuple[str, ...]] = ("origin",)
    LEFT_OUT: ClassVar[Mapping[str, str]] = {"sharing": "how steps take turns must not change what they make"}

    target: str
    id: str
    sharing: str = "shared"
    read_only: bool = False
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    origin: VertexId | None = None
    source: str = ""


class TmpfsMount(Keyed, frozen=True):
    """Empty memory at `target`; `size` in bytes, 0 for the kernel's default."""

    target: str
    size: int = 0


class SecretMount(Keyed, frozen=True):
    """A secret as a file at `target`, in the variable `env`, or both. Its value is never part of a key."""

    id: str
    target: str = ""
    env: str = ""
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


class SshMount(Keyed, frozen=True):
    """A socket of the user's SSH agent at `target`."""

    id: str
    target: str
    required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


RunMount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount


class HostPath(Keyed, frozen=True):
    """A directory, file or device of this machine that a RUN sees at `target`. What is in it is no part of a key."""

    source: str
    target: str
    writable: bool = True
    device: bool = False


# What a RUN may have in `confined`; the last is followed by the name of a capability, as in `cap-drop=chown`.
NO_NEW_PRIVILEGES, UNFILTERED, NO_HOSTS, CAP_DROP = "no-new-privileges", "seccomp=unconfined", "no-hosts", "cap-drop="


class Run(Keyed, frozen=True):
    """A command on top of `parent`. `scripts` are heredocs shown to it at /dev/pipes/<name>.

    `env` is all the command sees, sorted by name. `proxy_env` are predefined proxy arguments: seen by the
    command, no part of the key, never in history. `security` is `sandbox` or `insecure`.
    `lifetime` is for how many nanoseconds its result is good (0: for no other build; None: any time).
    `host_paths` and `confined` are what the user shows it of this machine, and changes of its isolation.
    `shell` is SHELL, `hosts` are more lines of /etc/hosts, `arguments` the variables of `env` that ARG set.
    """

    INPUTS: ClassVar[tuple[str, ...]] = ("parent",)
    LEFT_OUT: ClassVar[Mapping[str, str]] = {
        "proxy_env": "the way to the network must not change the result",
        "attempts": "how often and how long a command is tried must not change what it makes",
        "lifetime": "how long a result is good does not change what it is",
        "shell": "where it runs the command, that says so; else it is for people who look into a step that failed",
        "arguments": "their values are in env; that ARG set them is for people",
        **_ORIGIN,
    }

    parent: VertexId
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    user: str
    network: str
    platform: Platform
    security: str = "sandbox"
    scripts: tuple[InlineFile, ...] = ()
    mounts: tuple[RunMount, ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()
    host_paths: tuple[HostPath, ...] = ()
    confined: tuple[str, ...] = ()
    proxy_env: tuple[tuple[str, str], ...] = ()
    attempts: Attempts = Attempts()
    lifetime: int | None = None
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    arguments: tuple[str, ...] = ()
    origin: Origin = Origin("")

    def left_out(self) -> Mapping[str, str]:
        """Without any, some fields too: keys that were made before there were such are still right."""
        later = {"hosts": self.hosts, "host_paths": self.host_paths, "confined": self.confined}
        unused = (name for name, value in later.items() if not value)
        return {**self.LEFT_OUT, **dict.fromkeys(unused, "none is what every step had before")}


class CopyFrom(Keyed, frozen=True):
    """More to copy in the same step: `source`, `paths` and `unpack` as in Copy."""

    INPUTS: ClassVar[tuple[str, ...]] = ("source",)
    TAKES: ClassVar[str] = "source"

    source: VertexId | None
    paths: tuple[str, ...]
    unpack: bool = False


class Copy(Keyed, frozen=True):
    """Files copied onto `parent`: from `source` (a vertex), or from the build context called `context` when None.

    `paths` are patterns relative to the source's root, cleaned, without a leading slash (with `parents`, a `/./`
    in one marks what is kept of it); `exclude` are patterns of what is left out, relative to each source; `inline`
    are heredoc files. `destination` is absolute; a trailing slash is kept and means a directory. `unpack` is ADD's:
    local archives are unpacked. `link`: the layer is made without looking at what lies below. `also` is copied next,
    in order: an ADD may name files of the context, URLs and git references together, and makes one layer.
    """

    INPUTS: ClassVar[tuple[str, ...]] = ("parent", "source")
    TAKES: ClassVar[str] = "source"
    LEFT_OUT: ClassVar[Mapping[str, str]] = _ORIGIN

    parent: VertexId
    source: VertexId | None
    paths: tuple[str, ...]
    destination: str
    inline: tuple[InlineFile, ...] = ()
    chown: str = ""
    chmod: str = ""
    unpack: bool = False
    context: str = ""
    exclude: tuple[str, ...] = ()
    parents: bool = False
    link: bool = False
    also: tuple[CopyFrom, ...] = ()
    origin: Origin = Origin("")

    def left_out(self) -> Mapping[str, str]:
        """With `link`, what lies below as well: the layer is made without it."""
        return {**self.LEFT_OUT, "parent": "the layer is made without it"} if self.link else self.LEFT_OUT


class Workdir(Keyed, frozen=True):
    """A directory made on `parent` where it is missing, owned by `user` (as in USER)."""

    INPUTS: ClassVar[tuple[str, ...]] = ("parent",)
    LEFT_OUT: ClassVar[Mapping[str, str]] = _ORIGIN

    parent: VertexId
    path: str
    user: str = ""
    origin: Origin = Origin("")


Vertex = Scratch | BaseImage | UrlFile | GitTree | Run | Copy | Workdir


class StageTop(Struct, frozen=True):
    """A stage by its label and its number, and the vertex its files come from."""

    label: str
    number: int
    top: VertexId


class Target(Struct, frozen=True):
    """An image to be made: for which platform, the vertex its files come from, and its config.

    `config` is whole but for the root file system's diff IDs; its history marks the entries that
    have a layer, in the order of the layers above the base. `chain` is the target's stage, the one it begins as, and
    so on. `lines` are the lines of the Buildfile that the entries of its history after those of the base came from.
    """

    platform: Platform
    top: VertexId
    config: ImageConfig
    chain: tuple[StageTop, ...] = ()
    lines: tuple[int, ...] = ()


class Graph(Struct, frozen=True):
    """Vertices in topological order, and what is to be made of them: a target for each platform.

    `epoch` is SOURCE_DATE_EPOCH, the time of all that the build makes, in seconds; None leaves real times. `skipped`
    are the stages that the target does not need.
    """

    vertices: tuple[Vertex, ...]
    targets: tuple[Target, ...]
    warnings: tuple[tuple[str, str], ...] = ()
    epoch: int | None = None
    skipped: tuple[Origin, ...] = ()


def inputs(vertex: Vertex) -> tuple[VertexId, ...]:
    """The vertices that must be solved before `vertex`, parent first."""
    match vertex:
        case Scratch() | BaseImage() | UrlFile() | GitTree():
            return ()
        case Copy(parent=parent, source=source, also=also):
            sources = (source, *(part.source for part in also))
            return (parent, *(source for source in sources if source is not None))
        case Run(parent=parent, mounts=mounts):
            origins = (m.origin for m in mounts if isinstance(m, BindMount | CacheMount))
            return (parent, *(origin for origin in origins if origin is not None))
        case Workdir(parent=parent):
            return (parent,)
