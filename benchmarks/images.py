"""Reads a docker archive into its file tree, so that what two builders made can be compared."""

from __future__ import annotations

import hashlib
import json
import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class Node(NamedTuple):
    """One path, without its times. `content`: the digest of a file, the target of a link."""

    kind: bytes
    mode: int
    uid: int
    gid: int
    content: str


@dataclass
class Image:
    """An image: how many layers, and by path what is there and when it was written."""

    layers: int = 0
    nodes: dict[str, Node] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)


def read(path: Path) -> Image:
    """The image in the docker archive `path`, its layers laid on each other."""
    image = Image()
    with tarfile.open(path) as archive:
        (entry,) = json.load(_opened(archive, "manifest.json"))
        for name in entry["Layers"]:
            with tarfile.open(fileobj=_opened(archive, name)) as layer:
                _lay(layer, image)
    return image


def difference(one: Image, other: Image) -> str:
    """One line that says how the two differ; empty when they are the same but for times."""
    if one.layers != other.layers:
        return f"{one.layers} layers and {other.layers}"
    for path in sorted(one.nodes.keys() | other.nodes.keys()):
        left, right = one.nodes.get(path), other.nodes.get(path)
        if left != right:
            return f"/{path} is {left} and {right}"
    return ""


def _lay(layer: tarfile.TarFile, image: Image) -> None:
    image.layers += 1
    for member in layer:
        path = PurePosixPath("/", member.name).relative_to("/")
        if path.name == _OPAQUE:
            _remove(image, f"{path.parent}/")
        elif path.name.startswith(_WHITEOUT):
            gone = path.parent / path.name.removeprefix(_WHITEOUT)
            _remove(image, f"{gone}/")
            image.nodes.pop(str(gone), None)
        elif path.parts:
            content = hashlib.sha256(_opened(layer, member).read()).hexdigest() if member.isreg() else member.linkname
            # some writers put the file's kind into the mode too
            mode = stat.S_IMODE(member.mode)
            image.nodes[str(path)] = Node(member.type, mode, member.uid, member.gid, content)
            image.times[str(path)] = int(member.mtime)


def _remove(image: Image, prefix: str) -> None:
    for path in [path for path in image.nodes if path.startswith(prefix)]:
        del image.nodes[path]


def _opened(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(member)
    assert stream is not None, member
    return stream
