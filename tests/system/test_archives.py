"""Archives of images: indexes whole and in part, directories, the bytes of what came from elsewhere, other programs."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Pybuild

TWO = "FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH} /\n"
PLATFORMS = "--platform=linux/amd64,linux/arm64"


@pytest.fixture
def two(pybuild: Pybuild) -> Pybuild:
    """A store with `two`, an image for two platforms."""
    for name in ("amd64", "arm64"):
        pybuild.file(name, name)
    pybuild.build(TWO, PLATFORMS, "-t", "two").ok()
    return pybuild


def another(pybuild: Pybuild, name: str = "other") -> Pybuild:
    return Pybuild(pybuild.root.parent / name, pybuild.work)


def digest(pybuild: Pybuild, image: str) -> str:
    """Of the index, or of the manifest."""
    index = json.loads((pybuild.root / "index.json").read_text())
    (found,) = {
        entry["digest"]
        for entry in index["manifests"]
        if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == f"{image}:latest"
    }
    return str(found)


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {m.name: file.read() if (file := archive.extractfile(m)) else b"" for m in archive}


@pytest.mark.parametrize("form", ["oci", "oci-dir"])
def test_an_index_travels_whole(two: Pybuild, form: str) -> None:
    two("save", "--format", form, "-o", "saved", "two")
    other = another(two)
    assert other("load", "-i", "saved") == "Loaded image: two:latest\n"
    assert digest(other, "two") == digest(two, "two")
    for platform in ("linux/amd64", "linux/arm64"):
        (found,) = json.loads(other("inspect", "--platform", platform, "two"))
        assert found["Architecture"] == platform.removeprefix("linux/")
    other("save", "--format", "oci", "-o", "again", "two")
    if form == "oci":
        assert (two.work / "again").read_bytes() == (two.work / "saved").read_bytes()


def test_images_and_indexes_together(two: Pybuild) -> None:
    two.base()
    two("tag", "two", "again")
    two("save", "--format", "oci", "-o", "all.tar", "base", "two", "again")
    other = another(two)
    assert sorted(other("load", "all.tar").split()[2::3]) == ["again:latest", "base:latest", "two:latest"]
    found = members(two.work / "all.tar")
    assert len([name for name in found if name.startswith("blobs/")]) == len(set(found)) - 2


# --- what came from elsewhere ----------------------------------------------------------------------


def foreign(directory: Path, layer: bytes) -> str:
    """An OCI layout whose manifest has spaces, and fields that nobody here knows; gives the manifest's digest."""
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"digest": f"sha256:{name}", "size": len(data)}

    kept = put(layer)
    rootfs = {"type": "layers", "diff_ids": [kept["digest"]]}
    config = put(json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs, "x-own": 1}).encode())
    prefix = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{prefix}.manifest.v1+json",
        "x-own": {"a": [1]},
        "layers": [{"mediaType": f"{prefix}.layer.v1.tar", **kept}],
        "config": {"mediaType": f"{prefix}.config.v1+json", **config},
    }
    entry = put(json.dumps(manifest, indent=3).encode())
    names = {"org.opencontainers.image.ref.name": "foreign:latest"}
    index = {"schemaVersion": 2, "manifests": [{"mediaType": manifest["mediaType"], **entry, "annotations": names}]}
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(entry["digest"])


def test_bytes_from_elsewhere_stay_as_they_are(pybuild: Pybuild) -> None:
    from tests.support.rootfs import busybox_rootfs

    wanted = foreign(pybuild.work / "layout", busybox_rootfs())
    assert pybuild("load", "-i", "layout") == "Loaded image: foreign:latest\n"
    assert digest(pybuild, "foreign") == wanted
    pybuild("save", "--format", "oci", "-o", "saved.tar", "foreign")
    other = another(pybuild)
    other("load", "saved.tar")
    assert digest(other, "foreign") == wanted
    assert other.shell("foreign", "echo works") == "works\n"
    # Its layer is not made here: only by force it is compressed.
    for force, kind in (("", "tar"), (",force-compression=true", "tar+gzip")):
        pybuild.build("FROM foreign\nRUN echo > /x\n", "-o", f"type=oci,tar=false,dest={kind},compression=gzip{force}")
        out = pybuild.work / kind
        (entry,) = json.loads((out / "index.json").read_text())["manifests"]
        layers = json.loads((out / "blobs" / entry["digest"].replace(":", "/")).read_text())["layers"]
        assert [layer["mediaType"].rpartition(".")[2] for layer in layers] == [kind, "tar+gzip"]
