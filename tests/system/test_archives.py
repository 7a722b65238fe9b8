"""Archives of images: indexes whole and in part, directories, the bytes of what came from elsewhere, other programs."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerd import Dockerd
from tests.support.podman import Podman
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
    """An OCI layout whose manifest has spaces, and fields that nobody here knows; gives the manifest's digest.

    Its layer is compressed by gzip.
    """
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"digest": f"sha256:{name}", "size": len(data)}

    kept = put(gzip.compress(layer))
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    config = put(json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs, "x-own": 1}).encode())
    prefix = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{prefix}.manifest.v1+json",
        "x-own": {"a": [1]},
        "layers": [{"mediaType": f"{prefix}.layer.v1.tar+gzip", **kept}],
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
    # Its layer is not made here: only by force it is compressed otherwise.
    for force, kind in (("", "tar+gzip"), (",force-compression=true", "tar+zstd")):
        pybuild.build("FROM foreign\nRUN echo > /x\n", "-o", f"type=oci,tar=false,dest={kind},compression=zstd{force}")
        out = pybuild.work / kind
        (entry,) = json.loads((out / "index.json").read_text())["manifests"]
        layers = json.loads((out / "blobs" / entry["digest"].replace(":", "/")).read_text())["layers"]
        assert [layer["mediaType"].rpartition(".")[2] for layer in layers] == [kind, "tar+zstd"]


# --- other programs --------------------------------------------------------------------------------

APP = """FROM base
RUN mkdir /d && echo 1 > /d/one && ln /d/one /d/two && ln -s one /d/link && chown 3:4 /d/one && chmod 4755 /d/one
RUN rm /d/two /etc/group && touch -d @5 /old
CMD ["cat", "/d/one"]
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    directory = tmp_path_factory.mktemp("app")
    (directory / "work").mkdir()
    made = Pybuild(directory / "store", directory / "work")
    made.base()
    made.build(APP, "-t", "app").ok()
    for name, words in FORMS.items():
        made.build(APP, "-t", "app", "-o", f"dest={name},{words}").ok()
    return made


FORMS = {
    "zstd": "type=oci",
    "gzip": "type=oci,compression=gzip",
    "directory": "type=oci,compression=gzip,tar=false",
    "types": "type=oci,oci-mediatypes=false",
    "docker": "type=docker",
    "packed": "type=docker,compression=gzip",
}


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def same(app: Pybuild, other: Pybuild, image: str = "app") -> None:
    """The image is the same in another store, down to the bytes of its files."""
    ours, theirs = (json.loads(p("inspect", i))[0] for p, i in ((app, "app"), (other, image)))
    assert ours["Id"] == theirs["Id"]
    app("export", "-o", "ours.tar", "app")
    other("export", "-o", f"{app.work}/theirs.tar", image)
    assert (app.work / "ours.tar").read_bytes() == (app.work / "theirs.tar").read_bytes()


@pytest.mark.parametrize("name", FORMS)
def test_skopeo_copies_there_and_back(app: Pybuild, tmp_path: Path, name: str) -> None:
    source = f"oci:{app.work}/{name}" if name == "directory" else f"oci-archive:{app.work}/{name}"
    wanted = hashlib.sha256(skopeo("inspect", "--raw", source).encode()).hexdigest()
    skopeo("copy", "--preserve-digests", source, f"oci-archive:{tmp_path}/copied.tar:app:latest")
    other = Pybuild(tmp_path / "store", tmp_path)
    other("load", "copied.tar")
    assert digest(other, "app") == f"sha256:{wanted}"
    same(app, other)
    if name in ("docker", "packed"):
        skopeo("copy", f"docker-archive:{app.work}/{name}:app:latest", f"docker-archive:{tmp_path}/old.tar:old:1")
        again = Pybuild(tmp_path / "again", tmp_path)
        assert again("load", "old.tar") == "Loaded image: old:1\n"
        same(app, again, "old:1")


@pytest.mark.parametrize("name", ["docker", "packed", "types"])
def test_podman_takes_them(app: Pybuild, tmp_path: Path, name: str) -> None:
    with Podman() as podman:
        podman("load", "-i", f"{app.work}/{name}")
        found = json.loads(podman("image", "inspect", "app"))[0]
        assert f"sha256:{found['Id']}" == json.loads(app("inspect", "app"))[0]["Id"]
        podman("save", "--format", "docker-archive", "-o", f"{tmp_path}/saved.tar", "app")
    other = Pybuild(tmp_path / "store", tmp_path)
    other("load", "saved.tar")
    same(app, other)


def test_umoci_unpacks_a_directory(app: Pybuild, tmp_path: Path) -> None:
    unpack = ("umoci", "unpack", "--image", f"{app.work}/directory:app:latest", f"{tmp_path}/bundle")
    subprocess.run(unpack, check=True, capture_output=True)
    assert (tmp_path / "bundle/rootfs/d/one").stat().st_mode & 0o7777 == 0o4755


@pytest.mark.root
def test_docker_loads_runs_and_saves(app: Pybuild, tmp_path: Path) -> None:
    """This dockerd is older than archives that are layouts too; what it saves has links for layers it has twice."""
    twice = "FROM base\nRUN echo 1 > /x; touch -d @0 /x\nRUN rm /x\nRUN echo 1 > /x; touch -d @0 /x\n"
    with Dockerd(tmp_path) as daemon:
        for name in ("docker", "packed"):
            daemon.load(app.work / name)
            assert daemon.container("app") == "1\n"
        app("save", "-o", "two.tar", "app", "base")
        daemon.load(app.work / "two.tar")
        daemon.save(tmp_path / "saved.tar", "app", "base")
        app.build(twice, "--source-date-epoch", "5", "-o", f"type=docker,name=twice,dest={tmp_path}/twice.tar").ok()
        daemon.load(tmp_path / "twice.tar")
        daemon.save(tmp_path / "linked.tar", "twice")
    other = Pybuild(tmp_path / "store", tmp_path)
    assert sorted(other("load", "saved.tar").split()[2::3]) == ["app:latest", "base:latest"]
    same(app, other)
    assert other("load", "linked.tar") == "Loaded image: twice:latest\n"
    assert other.shell("twice", "cat /x") == "1\n"


def test_what_docker_25_saves_of_images_it_pulled_keeps_its_digest(app: Pybuild, tmp_path: Path) -> None:
    """With containerd's store: a layout of the registry's blobs with a manifest.json."""
    other = Pybuild(tmp_path / "store", tmp_path)
    other("load", "-i", str(app.work / "packed"))
    index = json.loads(members(app.work / "packed")["index.json"])
    assert digest(other, "app") == index["manifests"][0]["digest"]
    plain = Pybuild(tmp_path / "plain", tmp_path)
    plain("load", "-i", str(app.work / "docker"))
    layers = set(os.listdir(plain.root / "blobs/sha256"))
    (saved,) = json.loads(members(app.work / "docker")["manifest.json"])
    assert not layers & {name.rpartition("/")[2] for name in saved["Layers"]}, "what came plain is kept packed"
    assert digest(plain, "app") == digest(app, "app")
