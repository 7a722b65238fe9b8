"""What a build tells of its images: in the store, in archives, in registries, as files beside."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.registry import signatures  # noqa: F401  the room is there before processes are counted
from tests.support.program import Pybuild
from tests.support.registry import Registry
from tests.support.web import Repository, site
from tests.unit.attest.test_documents import faults

STATUS = "Package: one\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"
TEXT = "FROM scratch\nARG TOKEN A\nCOPY status /var/lib/dpkg/status\n"
SPDX, SLSA = "https://spdx.dev/Document", "https://slsa.dev/provenance/v0.2"


@pytest.fixture
def program(pybuild: Pybuild) -> Pybuild:
    pybuild.file("status", STATUS)
    return pybuild


class Archive:
    """An OCI archive, by its blobs."""

    def __init__(self, path: Path) -> None:
        with tarfile.open(path) as tar:
            files = {m.name: f.read() for m in tar.getmembers() if (f := tar.extractfile(m))}
        self.index = json.loads(files["index.json"])
        self._blobs = {name.rpartition("/")[2]: data for name, data in files.items() if "/" in name}

    def read(self, digest: str) -> Any:
        data = self._blobs[digest.removeprefix("sha256:")]
        assert str(Digest.of(data)) == digest
        return json.loads(data)


def told(read: Any, index: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The statements of an index: the digest of the image each must be about, and itself."""
    images = {entry["digest"] for entry in index["manifests"] if entry["platform"]["os"] == "linux"}
    for entry in index["manifests"]:
        about = entry.get("annotations", {}).get("vnd.docker.reference.digest")
        if about is None:
            continue
        assert entry["platform"] == {"architecture": "unknown", "os": "unknown"}
        assert entry["annotations"]["vnd.docker.reference.type"] == "attestation-manifest"
        assert about in images
        for layer in read(entry["digest"])["layers"]:
            statement = read(layer["digest"])
            assert layer["annotations"]["in-toto.io/predicate-type"] == statement["predicateType"]
            assert {"sha256": about.removeprefix("sha256:")} in [s["digest"] for s in statement["subject"]]
            yield about, statement


def test_an_archive_has_both(program: Pybuild) -> None:
    options = ("--provenance=mode=max", "--sbom", "--build-arg", "TOKEN=t0p", "--build-arg", "A=1")
    program.build(TEXT, *options, "-t", "it", "-o", "type=oci,dest=it.tar").ok()
    archive = Archive(program.work / "it.tar")
    (entry,) = archive.index["manifests"]
    found = {s["predicateType"]: s for _, s in told(archive.read, archive.read(entry["digest"]))}
    assert set(found) == {SPDX, SLSA}
    assert faults(found[SPDX]["predicate"]) == []
    assert "one" in {package["name"] for package in found[SPDX]["predicate"]["packages"]}
    assert found[SLSA]["subject"][0]["name"] == "pkg:docker/it@latest?platform=linux%2Famd64"
    args = found[SLSA]["predicate"]["invocation"]["parameters"]["args"]
    assert (args["build-arg:A"], args["build-arg:TOKEN"]) == ("1", "***")
    assert "t0p" not in json.dumps(found)


def test_the_store_keeps_them_and_the_image_stays_what_it_was(program: Pybuild) -> None:
    plain = program.build(TEXT, "-t", "it", "-q").ok().out
    assert program.build(TEXT, "-t", "it", "--provenance=true", "--sbom=true", "-q").ok().out == plain
    assert program.try_("cache", "prune", "--all", "--force").returncode == 0
    (entry,) = json.loads((program.root / "index.json").read_text())["manifests"]

    def read(digest: str) -> Any:
        return json.loads((program.root / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes())

    assert len(list(told(read, read(entry["digest"])))) == 2
    assert program("cache", "verify")
    assert len(program("sbom", "it").splitlines()) == 2
    program("rmi", "it")
    assert program("images", "-q") == ""


def test_the_same_image_told_of_again_is_one_image(program: Pybuild) -> None:
    for _ in range(3):
        program.build(TEXT, "--provenance", "-t", "it").ok()
    assert len(program("images").splitlines()) == 2
    program("tag", "it", "other")  # that one is still called something
    program.build(TEXT, "--provenance", "-t", "it").ok()
    assert sorted(line.split()[0] for line in program("images").splitlines()[1:]) == ["it", "other"]
    program.file("status", "Package: two\nVersion: 2\n")
    program.build(TEXT, "--provenance", "-t", "it").ok()
    # Another image: what had the name stays, without it, as always.
    assert sorted(line.split()[0] for line in program("images").splitlines()[1:]) == ["<none>", "it", "other"]
    program("cache", "verify")


def test_without_asking_there_are_none(program: Pybuild) -> None:
    for options in ((), ("--provenance=false", "--sbom=false")):
        program.build(TEXT, *options, "-o", "type=oci,dest=it.tar").ok()
        (entry,) = Archive(program.work / "it.tar").index["manifests"]
        assert entry["mediaType"].endswith("manifest.v1+json")


def test_each_platform_has_its_own(program: Pybuild) -> None:
    options = ("--platform", "linux/amd64,linux/arm64", "--sbom", "--provenance=version=v1")
    program.build(TEXT, *options, "-t", "it", "-o", "type=oci,dest=it.tar").ok()
    archive = Archive(program.work / "it.tar")
    found = list(told(archive.read, archive.read(archive.index["manifests"][0]["digest"])))
    assert len(found) == 4
    assert len({about for about, _ in found}) == 2


def test_compressed_anew_they_are_of_the_image_as_it_is(program: Pybuild) -> None:
    program.build(TEXT, "--sbom", "-o", "type=oci,dest=it.tar,compression=gzip").ok()
    archive = Archive(program.work / "it.tar")
    assert len(list(told(archive.read, archive.read(archive.index["manifests"][0]["digest"])))) == 1


def test_with_an_epoch_all_bytes_are_the_same(program: Pybuild, tmp_path: Path) -> None:
    options = ("--sbom", "--provenance=mode=max", "--source-date-epoch", "1700000000", "-o", "type=oci,dest=it.tar")
    program.build(TEXT, *options).ok()
    first = (program.work / "it.tar").read_bytes()
    other = Pybuild(tmp_path / "other", program.work)
    other.build(TEXT, *options).ok()
    assert (program.work / "it.tar").read_bytes() == first


def test_files_beside_the_image_s(program: Pybuild) -> None:
    options = ("--sbom", "--attest", "type=sbom,format=cyclonedx", "--provenance")
    program.build(TEXT, *options[1:], "-o", "type=local,dest=out", "-o", "type=tar,dest=out.tar").ok()
    for name in ("sbom.cyclonedx.json", "provenance.json"):
        statement = json.loads((program.work / "out" / name).read_text())
        with tarfile.open(program.work / "out.tar") as tar:
            member = tar.extractfile(name)
            assert member is not None
            assert json.loads(member.read()) == statement
    assert faults(json.loads((program.work / "out/sbom.cyclonedx.json").read_text())["predicate"]) == []
    assert (program.work / "out/var/lib/dpkg/status").exists()


def test_files_of_several_platforms(program: Pybuild) -> None:
    platforms = ("--platform", "linux/amd64,linux/arm64", "--provenance")
    program.build(TEXT, *platforms, "-o", "type=local,dest=out").ok()
    assert (program.work / "out/linux_arm64/provenance.json").exists()
    text = "FROM scratch\nARG TARGETARCH\nWORKDIR /$TARGETARCH\n"
    program.build(text, *platforms, "-o", "type=local,dest=flat,platform-split=false").ok()
    assert (program.work / "flat/provenance.linux_arm64.json").exists()


def test_a_file_of_the_image_is_not_lost_to_one_of_them(program: Pybuild) -> None:
    text = "FROM scratch\nCOPY status /provenance.json\n"
    done = program.build(text, "--provenance", "-o", "type=tar,dest=out.tar")
    assert done.status == 2
    assert not (program.work / "out.tar").exists()


def test_the_metadata_file_has_it(program: Pybuild) -> None:
    options = ("--provenance", "--metadata-file", "meta.json", "-t", "it")
    image = program.build(TEXT, *options, "-q").ok().out.strip()
    found = json.loads((program.work / "meta.json").read_text())
    assert found["containerimage.config.digest"] == image
    assert found["buildx.build.provenance"]["buildType"] == "https://mobyproject.org/buildkit@v1"
    program.build(TEXT, *options, "--platform", "linux/amd64,linux/arm64").ok()
    found = json.loads((program.work / "meta.json").read_text())
    names = {name for name in found if name.startswith("buildx")}
    assert names == {f"buildx.build.provenance/linux/{name}" for name in ("amd64", "arm64")}


def test_registries_and_other_programs(program: Pybuild, tmp_path: Path) -> None:
    with Registry(tmp_path) as registry:
        name = f"{registry.address}/it:1"
        program.build(TEXT, "--sbom", "--provenance=mode=max", "-t", name).ok()
        program("push", name)
        index = json.loads(registry.manifest("it:1"))

        def read(digest: str) -> Any:
            file = registry.blob(digest)
            return json.loads(file.read_bytes())

        assert len(list(told(read, index))) == 2
        # The image is what other programs take of it, and what a pull here does.
        shown = subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", f"docker://{name}"], capture_output=True, check=True
        )
        assert json.loads(shown.stdout)["Architecture"] == "amd64"
        command = ["skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{name}", f"oci:{tmp_path}/copy:1"]
        subprocess.run(command, capture_output=True, check=True)
        other = Pybuild(tmp_path / "other", program.work)
        other("pull", name)
        assert len(other("sbom", name).splitlines()) == 2


def test_a_build_that_fails_tells_of_nothing(program: Pybuild) -> None:
    assert program.build("FROM scratch\nCOPY none /\n", "--sbom", "-t", "it").status != 0
    assert program("images", "-q") == ""


def test_too_many_packages_are_an_error_and_no_image(program: Pybuild) -> None:
    program.file("status", "".join(f"Package: p{n}\nVersion: 1\n\n" for n in range(100_001)))
    done = program.build(TEXT, "--sbom", "-t", "it")
    assert done.status == 5
    assert "more than 100000 packages" in done.err
    assert program("images", "-q") == ""


def test_options_that_cannot_be_meant(program: Pybuild) -> None:
    for option in ("--provenance=max", "--sbom=generator=x", "--attest=type=x"):
        assert program.build(TEXT, option).status == 2


def provenance(program: Pybuild) -> Any:
    return json.loads((program.work / "out/provenance.json").read_text())["predicate"]


OUT = ("--provenance", "-o", "type=local,dest=out")


def test_a_base_image_is_a_material(program: Pybuild) -> None:
    program.base()
    program.build("FROM base AS unused\nRUN false\nFROM base\nCOPY status /\n", *OUT).ok()
    found = provenance(program)
    (material,) = found["materials"]
    image = json.loads(program("inspect", "base"))[0]
    assert material == {
        "uri": "pkg:docker/base@latest?platform=linux%2Famd64",
        "digest": {"sha256": image["Digest"].removeprefix("sha256:")},
    }
    assert {entry["name"] for entry in found["invocation"]["parameters"]["locals"]} == {"context", "dockerfile"}
    assert found["invocation"]["configSource"] == {"entryPoint": "Buildfile"}


def test_a_base_image_that_was_pushed_is_what_others_find(program: Pybuild, tmp_path: Path) -> None:
    program.base()
    with Registry(tmp_path) as registry:
        name = f"{registry.address}/base:1"
        program("tag", "base", name)
        program("push", name)
        program.build(f"FROM {name}\nCOPY status /\n", *OUT).ok()
        (material,) = provenance(program)["materials"]
        assert material["digest"] == {"sha256": hashlib.sha256(registry.manifest("base:1")).hexdigest()}


def test_urls_and_repositories_are_materials(program: Pybuild, tmp_path: Path) -> None:
    with site(tmp_path / "repositories") as web:
        url = web.put("/tool", b"content")
        repository = Repository(web)
        commit = repository.commit({"Buildfile": "FROM scratch\nCOPY a /\n", "a": "a"})
        address = repository.url
        secret = url.replace("://", "://me:t0p@")
        program.build(f"FROM scratch\nADD {secret} /\nADD {address}#main /git/\n", *OUT).ok()
        found = provenance(program)
        assert found["materials"] == [
            {"uri": found["materials"][0]["uri"], "digest": {"sha256": hashlib.sha256(b"content").hexdigest()}},
            {"uri": f"{address}#main", "digest": {"sha1": commit}},
        ]
        assert "t0p" not in json.dumps(found)
        assert [entry["name"] for entry in found["invocation"]["parameters"]["locals"]] == ["dockerfile"]
        # As the build context it is what the build came from, and all of it is known.
        program("build", *OUT, f"{address}#main")
        found = provenance(program)
        context = {"uri": f"{address}#main", "digest": {"sha1": commit}}
        assert found["invocation"]["configSource"] == {**context, "entryPoint": "Buildfile"}
        assert found["materials"] == [context]
        assert found["metadata"]["completeness"]["materials"] is True
        assert found["metadata"]["https://mobyproject.org/buildkit@v1#hermetic"] is True


def test_secrets_are_told_of_by_their_ids_alone(program: Pybuild) -> None:
    program.base()
    text = "FROM base\nRUN --mount=type=secret,id=pw,required=true true\n"
    options = ("--provenance=mode=max", "-o", "type=local,dest=out", "--secret", "id=pw,env=SECRET")
    program.build(text, *options, SECRET="t0p").ok()
    found = provenance(program)
    assert found["invocation"]["parameters"]["secrets"] == [{"id": "pw"}]
    assert "t0p" not in (program.work / "out/provenance.json").read_text()
