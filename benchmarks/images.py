"""Reads a docker or OCI archive into its file tree, so that what two builders made can be compared."""

from __future__ import annotations

import hashlib
import json
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

import zstandard
from isal import igzip

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


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
    """The image in the archive `path`, its layers laid on each other."""
    image = Image()
    with tarfile.open(path) as archive:
        for name in _layers(archive):
            with _plain(_opened(archive, name)) as stream, tarfile.open(fileobj=stream, mode="r|") as layer:
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


def _layers(archive: tarfile.TarFile) -> list[str]:
    """The names of the members that are the layers, lowest first."""
    if "manifest.json" in archive.getnames():
        (entry,) = json.load(_opened(archive, "manifest.json"))
        return list(entry["Layers"])
    (found,) = json.load(_opened(archive, "index.json"))["manifests"]
    document = json.load(_opened(archive, _blob(found["digest"])))
    if "manifests" in document:
        (found,) = document["manifests"]
        document = json.load(_opened(archive, _blob(found["digest"])))
    return [_blob(layer["digest"]) for layer in document["layers"]]


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


@contextmanager
def _plain(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """A layer's tar, whatever it is compressed with."""
    start = stream.read(4)
    stream.seek(0)
    if start.startswith(_GZIP):
        with igzip.GzipFile(fileobj=stream) as plain:
            yield cast("IO[bytes]", plain)
    elif start == _ZSTD:
        with zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as reader:
            yield cast("IO[bytes]", reader)
    else:
        yield stream


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
            # some writers put the file's kind into the mode too
            mode = stat.S_IMODE(member.mode)
            image.nodes[str(path)] = Node(member.type, mode, member.uid, member.gid, _content(layer, member))
            image.times[str(path)] = int(member.mtime)


def _content(layer: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    return hashlib.file_digest(_opened(layer, member), "sha256").hexdigest() if member.isreg() else member.linkname


def _remove(image: Image, prefix: str) -> None:
    for path in [path for path in image.nodes if path.startswith(prefix)]:
        del image.nodes[path]


def _opened(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(member)
    assert stream is not None, member
    return stream
