"""What becomes of a build besides an image in the store: outputs of every kind, annotations, metadata."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Pybuild

BUILDFILE = "FROM base\nRUN echo made > /made\n"
TWO = "--platform=linux/amd64,linux/arm64"
COPIED = "FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH} /\n"


@pytest.fixture
def program(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    for name in ("amd64", "arm64"):
        pybuild.file(f"{name}/{name}", name)
        pybuild.file(f"{name}/both", name)
    return pybuild


class Layout:
    """An archive that is an OCI layout."""

    def __init__(self, data: bytes | Path) -> None:
        content = data if isinstance(data, bytes) else data.read_bytes()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            self.files = {m.name: (archive.extractfile(m) or io.BytesIO()).read() for m in archive}
            self.infos = {m.name: m for m in archive}

    def json(self, name: str) -> Any:
        return json.loads(self.files[name])

    def blob(self, descriptor: dict[str, Any]) -> Any:
        data = self.files[f"blobs/sha256/{descriptor['digest'].removeprefix('sha256:')}"]
        assert (len(data), "sha256:" + hashlib.sha256(data).hexdigest()) == (descriptor["size"], descriptor["digest"])
        return json.loads(data)

    @property
    def entries(self) -> list[dict[str, Any]]:
        return list(self.json("index.json")["manifests"])


def names(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries]


def test_several_at_once_and_the_image_only_if_it_is_asked_for(program: Pybuild) -> None:
    outputs = ("type=oci,dest=a.tar", "type=docker,dest=b.tar", "type=tar,dest=c.tar", "out", "type=cacheonly")
    built = program.build(BUILDFILE, *(word for text in outputs for word in ("-o", text))).ok()
    wrote = [line.split()[-1] for line in built.err.splitlines() if "wrote" in line]
    assert wrote == ["a.tar", "b.tar", "c.tar", "out"]
    assert (program.work / "out/made").read_text() == "made\n"
    with tarfile.open(program.work / "c.tar") as archive:
        assert "made" in archive.getnames()
    assert program("images", "-q").count("\n") == 1
    again = program.build(BUILDFILE, "-o", "type=cacheonly").ok()
    assert (again.ran, program("images", "-q").count("\n")) == ([], 1)


def test_a_docker_output_without_a_place_is_loaded(program: Pybuild) -> None:
    program.build(BUILDFILE, "-o", 'type=docker,"name=one,two:2"', "-o", "type=tar,dest=x.tar").ok()
    shown = program("images")
    assert shown.count("one") == 1
    assert shown.count("two") == 1
    assert program.shell("two:2", "cat /made") == "made\n"


def test_load_keeps_it_beside_other_outputs(program: Pybuild) -> None:
    identity = program.build(BUILDFILE, "-q", "--load", "-o", "type=tar,dest=x.tar").ok().out.strip()
    assert (program.work / "x.tar").exists()
    assert identity in program("images", "-q", "--no-trunc")


def test_a_store_is_not_written_over(program: Pybuild) -> None:
    for words in (
        ("save", "--format", "oci-dir", "-o", str(program.root), "base"),
        ("build", "-o", f"type=oci,tar=false,dest={program.root}", "."),
    ):
        program.file("Buildfile", BUILDFILE)
        done = program.try_(*words)
        assert (done.returncode, "is a store" in done.stderr) == (2, True)
    assert program.shell("base", "echo whole") == "whole\n"


def test_standard_output_that_is_full_is_not_the_stores_trouble(program: Pybuild) -> None:
    for words in (("save", "base"), ("export", "base"), ("images",), ("--version",)):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(program.command(*words), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        message = "error: cannot write to standard output: No space left on device\n"
        assert (done.returncode, done.stderr) == (1, message)


def test_standard_output_has_the_archive_alone(program: Pybuild) -> None:
    program.file("Buildfile", BUILDFILE)
    for option in ("-", "type=oci", "type=oci,dest=-", "type=docker,dest=-"):
        command = program.command("build", "-q", "-t", "app", "-o", option, ".")
        done = subprocess.run(command, cwd=program.work, capture_output=True, check=True)
        assert done.stderr.startswith(b"sha256:")
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            assert archive.getnames()
        assert done.stdout.endswith(bytes(1024))


def test_a_docker_archive_is_a_layout_too(program: Pybuild) -> None:
    program.build(BUILDFILE, "-t", "app:1", "-t", "app:2", "-o", "type=docker,dest=x.tar").ok()
    layout = Layout(program.work / "x.tar")
    assert names(layout.entries) == ["app:1", "app:2"]
    manifest = layout.blob(layout.entries[0])
    config = layout.blob(manifest["config"])
    assert [blob["digest"] for blob in manifest["layers"]] == config["rootfs"]["diff_ids"]
    (saved,) = layout.json("manifest.json")
    assert saved["RepoTags"] == ["app:1", "app:2"]
    assert saved["Config"] == f"blobs/sha256/{manifest['config']['digest'].removeprefix('sha256:')}"
    assert set(saved["Layers"]) <= layout.files.keys()
    assert {(m.mtime, m.uid, m.mode) for m in layout.infos.values()} == {(0, 0, 0o644)}


@pytest.mark.parametrize(
    ("options", "manifest", "layer"),
    [
        ("", "oci.image.manifest.v1+json", "oci.image.layer.v1.tar+zstd"),
        (",compression=gzip", "oci.image.manifest.v1+json", "oci.image.layer.v1.tar+gzip"),
        (",oci-mediatypes=false", "docker.distribution.manifest.v2+json", "docker.image.rootfs.diff.tar.gzip"),
        (
            ",oci-mediatypes=false,compression=uncompressed",
            "docker.distribution.manifest.v2+json",
            "docker.image.rootfs.diff.tar",
        ),
    ],
)
def test_media_types(program: Pybuild, options: str, manifest: str, layer: str) -> None:
    program.build(BUILDFILE, "-t", "app", "-o", f"type=oci,dest=x.tar{options}").ok()
    layout = Layout(program.work / "x.tar")
    (entry,) = layout.entries
    assert entry["mediaType"] == f"application/vnd.{manifest}"
    found = layout.blob(entry)
    assert {blob["mediaType"] for blob in found["layers"]} == {f"application/vnd.{layer}"}
    assert found["config"]["mediaType"].startswith(
        "application/vnd.docker" if "docker" in manifest else "application/vnd.oci"
    )
    other = Pybuild(program.work.parent / "other", program.work)
    other("load", "x.tar")
    assert other("images", "-q", "--no-trunc") == ids(program, "app")


def ids(program: Pybuild, image: str) -> str:
    return str(json.loads(program("inspect", image))[0]["Id"]) + "\n"


def test_another_level_is_another_blob_of_the_same_layer(program: Pybuild) -> None:
    sizes = {}
    for level in ("1", "9"):
        program.build(BUILDFILE, "-o", f"type=oci,dest=x.tar,compression=gzip,compression-level={level}").ok()
        layout = Layout(program.work / "x.tar")
        sizes[level] = sum(blob["size"] for blob in layout.blob(layout.entries[0])["layers"])
    assert sizes["9"] < sizes["1"]


# --- annotations and metadata --------------------------------------------------------------------


def test_annotations_of_an_image(program: Pybuild) -> None:
    options = (
        "--annotation",
        "a=1",
        "--annotation",
        "manifest-descriptor:b=2",
        "-o",
        "type=oci,dest=x.tar,annotation.c=3",
    )
    program.build(BUILDFILE, "-t", "app", *options).ok()
    layout = Layout(program.work / "x.tar")
    (entry,) = layout.entries
    assert layout.blob(entry)["annotations"] == {"a": "1", "c": "3"}
    assert (entry["annotations"]["b"], names([entry])) == ("2", ["app:latest"])
    program("save", "--format", "oci", "-o", "saved.tar", "app")
    saved = Layout(program.work / "saved.tar")
    assert saved.blob(saved.entries[0])["annotations"] == {"a": "1"}
    for text in ("--annotation=index:a=1", "--annotation=index-descriptor:a=1"):
        built = program.build(BUILDFILE, "-t", "other", text)
        assert (built.status, "an image for one platform has no index" in built.err) == (2, True)
    assert "other" not in program("images")


def test_annotations_of_an_index(program: Pybuild) -> None:
    asked = ("index:a=1", "index-descriptor:b=2", "manifest[linux/arm64]:c=3", "manifest-descriptor[linux/amd64]:d=4")
    options = [f"--annotation={text}" for text in asked]
    program.build(COPIED, TWO, "-t", "app", "-o", "type=oci,dest=x.tar", *options).ok()
    layout = Layout(program.work / "x.tar")
    (entry,) = layout.entries
    assert (entry["annotations"]["b"], names([entry])) == ("2", ["app:latest"])
    index = layout.blob(entry)
    assert index["annotations"] == {"a": "1"}
    assert [e["platform"]["architecture"] for e in index["manifests"]] == ["amd64", "arm64"]
    assert [e.get("annotations") for e in index["manifests"]] == [{"d": "4"}, None]
    assert [layout.blob(e).get("annotations") for e in index["manifests"]] == [None, {"c": "3"}]


def test_metadata(program: Pybuild) -> None:
    def made(*options: str) -> dict[str, Any]:
        program.build(BUILDFILE, "--metadata-file", "m.json", *options).ok()
        return dict(json.loads((program.work / "m.json").read_text()))

    kept = made("-t", "app", "-t", "other:1")
    assert kept["image.name"] == "docker.io/library/app:latest,docker.io/library/other:1"
    assert kept["containerimage.config.digest"] + "\n" == ids(program, "app")
    descriptor = kept["containerimage.descriptor"]
    assert (descriptor["digest"], descriptor["platform"]["os"]) == (kept["containerimage.digest"], "linux")
    written = made("-o", "type=oci,dest=x.tar,compression=gzip,name=named")
    (entry,) = Layout(program.work / "x.tar").entries
    assert written["containerimage.digest"] == entry["digest"] != kept["containerimage.digest"]
    assert written["image.name"] == "docker.io/library/named:latest"
    assert made("-o", "type=cacheonly") == {k: v for k, v in kept.items() if k != "image.name"}
    program.build(COPIED, TWO, "-t", "two", "--metadata-file", "m.json").ok()
    several = json.loads((program.work / "m.json").read_text())
    assert several["containerimage.descriptor"]["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert "containerimage.config.digest" not in several
    built = program.build(BUILDFILE, "--metadata-file", "missing/m.json")
    assert (built.status, "--metadata-file missing/m.json" in built.err) == (2, True)


# --- several platforms ---------------------------------------------------------------------------


def test_files_of_several_platforms_lie_apart(program: Pybuild) -> None:
    program.build(COPIED, TWO, "-o", "out", "-o", "type=tar,dest=x.tar").ok()
    for name in ("amd64", "arm64"):
        assert (program.work / f"out/linux_{name}/both").read_text() == name
    with tarfile.open(program.work / "x.tar") as archive:
        found = archive.getnames()
    assert found == [f"linux_{a}{b}" for a in ("amd64", "arm64") for b in ("", f"/{a}", "/both")]
    program.build(COPIED, "-o", "type=local,dest=one,platform-split=true").ok()
    assert [p.name for p in (program.work / "one").iterdir()] == ["linux_amd64"]


def test_or_together_where_they_are_not_the_same(program: Pybuild) -> None:
    for output in ("type=local,dest=out,platform-split=false", "type=tar,dest=x.tar,platform-split=false"):
        built = program.build(COPIED, TWO, "-o", output)
        assert (built.status, "/both is in the images of several platforms" in built.err) == (2, True)
    assert not (program.work / "x.tar").exists()
    apart = "FROM scratch\nARG TARGETARCH\nCOPY ${TARGETARCH}/${TARGETARCH} /d/\n"
    program.build(apart, TWO, "-o", "type=local,dest=both,platform-split=false").ok()
    assert sorted(p.name for p in (program.work / "both/d").iterdir()) == ["amd64", "arm64"]


def test_a_docker_archive_is_for_one_platform(program: Pybuild) -> None:
    built = program.build(COPIED, TWO, "-o", "type=docker,dest=x.tar")
    assert (built.status, "holds no image for several platforms" in built.err) == (2, True)
    program.build(COPIED, TWO, "-t", "two", "-o", "type=docker").ok()
    assert "two" in program("images")
