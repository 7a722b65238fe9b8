"""Archives of every kind are read into the same image."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from benchmarks.images import Image, difference, read


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def docker(path: Path, layers: list[bytes]) -> Image:
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = json.dumps([{"Layers": names}]).encode()
    path.write_bytes(tar({"manifest.json": manifest, **dict(zip(names, layers, strict=True))}))
    return read(path)


def oci(path: Path, layers: list[bytes], *, index: bool = False) -> Image:
    blobs: dict[str, bytes] = {}

    def put(data: bytes) -> dict[str, str]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}"}

    top = put(json.dumps({"layers": [*map(put, layers)]}).encode())
    if index:
        top = put(json.dumps({"manifests": [top]}).encode())
    path.write_bytes(tar({"index.json": json.dumps({"manifests": [top]}).encode(), **blobs}))
    return read(path)


LAYERS = [tar({"a": b"1", "d/b": b"2", "d/c": b"3"}), tar({"d/.wh.b": b"", "a": b"4"})]


@pytest.mark.parametrize(
    "packed", [bytes, gzip.compress, lambda d: zstandard.compress(d[:512]) + zstandard.compress(d[512:])]
)
@pytest.mark.parametrize("index", [False, True])
def test_an_archive_of_either_kind_is_the_same_image(
    tmp_path: Path, packed: Callable[[bytes], bytes], index: bool
) -> None:
    one = docker(tmp_path / "docker.tar", LAYERS)
    assert sorted(one.nodes) == ["a", "d/c"]
    assert one.nodes["a"].content == hashlib.sha256(b"4").hexdigest()
    assert difference(one, oci(tmp_path / "oci.tar", [*map(packed, LAYERS)], index=index)) == ""


def test_a_difference_is_told(tmp_path: Path) -> None:
    one = docker(tmp_path / "one.tar", LAYERS)
    assert difference(one, docker(tmp_path / "two.tar", LAYERS[:1])) == "2 layers and 1"
    other = oci(tmp_path / "other.tar", [LAYERS[0], tar({"d/.wh.b": b"", "a": b"5"})])
    assert difference(one, other).startswith("/a is ")
