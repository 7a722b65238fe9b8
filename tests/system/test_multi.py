"""Images for several platforms: built together, kept and found under one name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.support.podman import Podman
from tests.support.program import Pybuild
from tests.support.registry import Registry
from tests.system.test_platforms import ON_ARM, OTHER, program

OWN = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
BOTH = f"linux/{OWN},linux/{OTHER}"
CROSS = (
    "FROM --platform=$BUILDPLATFORM base AS compiler\nRUN uname -m > /machine\n"
    'ARG TARGETARCH\nRUN echo "for $TARGETARCH" > /out\n'
    "FROM scratch\nARG TARGETPLATFORM\nLABEL platform=$TARGETPLATFORM\nCOPY --from=compiler /machine /out /\n"
)
# `build -` takes it as the Buildfile.
NOTHING_RUNS = b"FROM scratch\nARG TARGETARCH\nCOPY <<END /file\nfor $TARGETARCH\nEND\n"
COPIED = (
    "FROM scratch\nARG BUILDPLATFORM\nARG TARGETPLATFORM\nARG TARGETARCH\n"
    'LABEL args="$BUILDPLATFORM $TARGETPLATFORM $TARGETARCH"\nCOPY $TARGETARCH /copied\n'
)


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    return pybuild


def inspected(pybuild: Pybuild, *words: str) -> dict[str, Any]:
    return dict(json.loads(pybuild("inspect", *words))[0])


def skopeo(*words: str) -> bytes:
    return subprocess.run(["skopeo", *words], check=True, capture_output=True, timeout=60).stdout


def test_a_build_for_two_platforms_shares_what_does_not_depend_on_them(based: Pybuild) -> None:
    built = based.build(CROSS, "--platform", BOTH, "-t", "app", "--iidfile", "iid").ok()
    assert built.ran == [
        "RUN uname -m > /machine",
        'RUN echo "for $TARGETARCH" > /out',
        'RUN echo "for $TARGETARCH" > /out',
        "COPY --from=compiler /machine /out /",
        "COPY --from=compiler /machine /out /",
    ]
    for name in (f"linux/{OWN} compiler 2/3", f"linux/{OWN} compiler 3/3", f"linux/{OWN}->{OTHER} compiler 3/3",
                 f"linux/{OWN} stage-1 2/2", f"linux/{OTHER} stage-1 2/2"):  # fmt: skip
        assert built.err.count(f" [{name}] ") == 1, name
    index = (based.work / "iid").read_text()
    assert based("build", "-q", "--platform", f"linux/{OWN}", "--platform", f"linux/{OTHER}", ".").strip() == index
    for arch in (OWN, OTHER):
        about = inspected(based, "app", "--platform", arch)
        assert (about["Architecture"], about["Config"]["Labels"]) == (arch, {"platform": f"linux/{arch}"})
        assert about["RepoTags"] == ["app:latest"]
        assert about["Descriptor"]["digest"] == index
    assert inspected(based, "app")["Architecture"] == OWN
    again = based.build(CROSS, "--platform", BOTH, "-t", "app").ok()
    assert again.ran == []
    assert f"built {index}" in again.err


def test_the_index_in_the_store_is_one_for_others(based: Pybuild) -> None:
    based.build(CROSS, "--platform", BOTH, "-t", "app").ok()
    here = f"oci:{based.root}:app:latest"
    index = json.loads(skopeo("inspect", "--raw", here))
    platforms = [(m["platform"]["os"], m["platform"]["architecture"]) for m in index["manifests"]]
    assert platforms == [("linux", OWN), ("linux", OTHER)]
    skopeo("copy", "--all", here, f"oci:{based.work}/copied:app")
    copied = based.work / "copied"
    assert json.loads(skopeo("inspect", "--raw", f"oci:{copied}:app")) == index
    other = json.loads(skopeo("inspect", "--override-arch", OTHER, here))
    assert (other["Architecture"], other["Labels"]) == (OTHER, {"platform": f"linux/{OTHER}"})


def test_images_of_an_index_are_listed_named_and_removed_with_it(based: Pybuild) -> None:
    based.build(CROSS, "--platform", BOTH, "-t", "app").ok()
    rows = [row for row in json.loads(based("images", "--format", "json")) if row["repository"] != "base"]
    (row,) = rows
    own, other = (inspected(based, "app", "--platform", arch)["Id"] for arch in (OWN, OTHER))
    assert row["tag"] == "latest"
    assert [(one["platform"], one["id"]) for one in row["platforms"]] == [
        (f"linux/{OWN}", own),
        (f"linux/{OTHER}", other),
    ]
    tree = [line.split() for line in based("images", "--tree").splitlines()]
    assert [line[:2] for line in tree[1:3]] == [["app:latest", row["id"][7:19]], ["├─", f"linux/{OWN}"]]
    assert tree[3][:3] == ["└─", f"linux/{OTHER}", other[7:19]]
    refused = based.try_("rmi", own)
    assert refused.returncode == 2
    assert f"{own} is one of the images of app:latest" in refused.stderr
    based("tag", "app", "app:2")
    based("tag", own, "alone")
    assert based("rmi", "app").split() == ["Untagged:", "app:latest"]
    assert inspected(based, "app:2", "--platform", OTHER)["Architecture"] == OTHER
    gone = based("rmi", "app:2").splitlines()
    assert gone == ["Untagged: app:2", f"Deleted: {row['id']}", f"Deleted: {other}"]
    assert inspected(based, "alone")["Id"] == own
    assert based.try_("inspect", other).returncode != 0
    assert "all is well" in based("cache", "verify")


def test_a_container_keeps_the_index_of_its_image(based: Pybuild) -> None:
    based.build("FROM base\n", "--platform", f"linux/{OWN},linux/{OTHER}", "-t", "app").ok()
    based("run", "--name", "user", "app", "true")
    refused = based.try_("rmi", "app")
    assert "app is used by container user" in refused.stderr
    based("rm", "user")
    based("rmi", "app")


def test_a_stage_may_be_another_for_each_platform(based: Pybuild) -> None:
    based.file("program", program(), 0o755)
    buildfile = (
        f"FROM base AS for-{OWN}\nRUN echo native > /made\n"
        f"FROM scratch AS for-{OTHER}\nCOPY program /made\n"
        "FROM scratch AS unused\nFROM for-$TARGETARCH\n"
    )
    built = based.build(buildfile, "--platform", BOTH, "-t", "app").ok()
    assert "FROM scratch AS unused" in built.err
    assert "SKIPPED" in built.err
    assert f"[for-{OWN}] " not in built.err
    assert f" [linux/{OTHER} for-{OTHER} 2/2] COPY program /made" in built.err


def test_what_fails_for_one_platform_fails_the_build(based: Pybuild) -> None:
    built = based.build(
        'FROM --platform=$BUILDPLATFORM base\nARG TARGETARCH\nRUN test "$TARGETARCH" = ' + OWN + "\n",
        "--platform", BOTH, "-t", "app",
    )  # fmt: skip
    assert built.status == 1
    assert f"[linux/{OWN}->{OTHER} 2/2] RUN test" in built.err
    assert based.try_("inspect", "app").returncode != 0
    assert based.build("FROM scratch\n", "--platform", "linux/amd64,").status == 2
    exported = based.build("FROM base\nRUN true\n", "--platform", BOTH, "--step-export", "2:/bin:out")
    assert exported.status == 2


def test_a_container_is_of_the_platform_asked_for_or_is_not_run(based: Pybuild) -> None:
    based("build", "-q", "--platform", f"linux/{OTHER}", "-t", "other", "-", input=NOTHING_RUNS)
    refused = based.try_("run", "--rm", "--platform", f"linux/{OWN}", "other")
    assert refused.returncode == 125
    assert f"other is made for linux/{OTHER}, not for linux/{OWN}" in refused.stderr
    assert based("run", "--rm", "--platform", f"linux/{OWN}", "base", "echo", "here") == "here\n"


def test_a_base_that_is_an_index_is_taken_for_the_platform_of_the_stage(based: Pybuild) -> None:
    based("build", "-q", "--platform", BOTH, "-t", "below", "-", input=NOTHING_RUNS)
    built = based.build(
        f"FROM --platform=linux/{OTHER} below AS other\nFROM base\nCOPY --from=other /file /other\n"
        "COPY --from=below /file /own\n",
        "-t", "app",
    ).ok()  # fmt: skip
    assert built.status == 0
    assert based.shell("app", "cat /other /own").split("\n")[:2] == [f"for {OTHER}", f"for {OWN}"]
    missing = based.build("FROM below\n", "--platform", "linux/s390x", "--pull=never")
    assert missing.status != 0
    assert f"below is not in the store for linux/s390x, but for linux/{OWN}, linux/{OTHER}" in missing.err
    # A single image is taken as it is, but what is made of it is for the platform that was asked for.
    warned = based.build("FROM base\nCOPY Buildfile /\n", "--platform", f"linux/{OTHER}", "-t", "named").ok()
    assert f'InvalidBaseImagePlatform: Base image base is for "linux/{OWN}", and "linux/{OTHER}" is' in warned.err
    assert inspected(based, "named")["Architecture"] == OTHER


def test_a_build_for_several_platforms_is_verified_to_be_reproducible(based: Pybuild) -> None:
    based("build", "-q", "--platform", BOTH, "-t", "below", "-", input=NOTHING_RUNS)
    digest = inspected(based, "below")["Descriptor"]["digest"]
    based.file(
        "Buildfile",
        "FROM --platform=$BUILDPLATFORM base AS tools\nCOPY --from=below /file /own\nRUN cat /own > /told\n"
        f"FROM --platform=$BUILDPLATFORM below AS own\nFROM below@{digest}\nCOPY --from=own /file /here\n"
        "COPY --from=tools /told /\n",
    )
    said = based("verify-reproducible", "--platform", BOTH, ".")
    assert said.startswith("reproducible: sha256:")


# --- damage --------------------------------------------------------------------------------------


def test_a_damaged_index_is_told_of_and_dropped(based: Pybuild) -> None:
    index = based("build", "-q", "--platform", BOTH, "-t", "app", "-", input=NOTHING_RUNS).strip()
    (based.root / "blobs/sha256" / index.removeprefix("sha256:")).write_bytes(b"{}")
    for words in (("inspect", "app"), ("images",), ("save", "-o", "x", "app"), ("cache", "verify")):
        done = based.try_(*words)
        assert done.returncode != 0
        assert index[7:] in done.stdout + done.stderr, words
    based.try_("cache", "verify", "--repair")
    assert "all is well" in based("cache", "verify")
    assert based.try_("inspect", "app").returncode != 0
    based("build", "-q", "--platform", BOTH, "-t", "app", "-", input=NOTHING_RUNS)
    assert inspected(based, "app")["Descriptor"]["digest"] == index


def test_a_database_made_anew_knows_its_indexes(based: Pybuild) -> None:
    based("build", "-q", "--platform", BOTH, "-t", "app", "-", input=NOTHING_RUNS)
    based("build", "-q", "--platform", BOTH, "--provenance=true", "-t", "told", "-", input=NOTHING_RUNS)
    before = {name: json.loads(based("manifest", "inspect", name)) for name in ("app", "told")}
    for path in based.root.glob("pybuild.db*"):
        path.unlink()
    based.try_("cache", "verify", "--repair")
    assert "all is well" in based("cache", "verify")
    assert {name: json.loads(based("manifest", "inspect", name)) for name in before} == before
    assert inspected(based, "told", "--platform", OTHER)["Architecture"] == OTHER
    kinds = [entry["Kind"] for entry in inspected(based, "told")["Manifests"]]
    assert kinds == ["image", "image", "attestation", "attestation"]
    assert {row["repository"] for row in json.loads(based("images", "--format", "json"))} == {"app", "told", "base"}


def test_what_an_index_has_goes_with_it(based: Pybuild) -> None:
    def blobs() -> set[str]:
        return {path.name for path in (based.root / "blobs/sha256").iterdir()}

    before = blobs()
    based("build", "-q", "--platform", BOTH, "--provenance=true", "-t", "app", "-", input=NOTHING_RUNS)
    based("rmi", "app")
    based("cache", "prune", "-a", "-f")
    assert blobs() == before
    based("build", "-q", "--platform", BOTH, "-t", "app", "-", input=NOTHING_RUNS)
    based("build", "-q", "-t", "app", "-", input=NOTHING_RUNS)
    assert [row["tag"] for row in json.loads(based("images", "--format", "json"))].count("<none>") == 1
    assert based("image", "prune", "-f").count("deleted: ") == 1
    assert inspected(based, "app")["Architecture"] == OWN


# --- archives ------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(based: Pybuild) -> Pybuild:
    """Another store."""
    return replace(based, root=based.root.parent / "elsewhere")


def archived(pybuild: Pybuild, name: str, kind: str = "oci-archive") -> str:
    """The index `app` in an archive of skopeo's."""
    target = f"{kind}:{pybuild.work}/{name}"
    skopeo("copy", "--all", f"oci:{pybuild.root}:app:latest", f"{target}:app:latest")
    return name


def test_an_archive_is_loaded_with_all_its_platforms(based: Pybuild, elsewhere: Pybuild) -> None:
    index = based("build", "-q", "--platform", BOTH, "-t", "app", "-", input=NOTHING_RUNS).strip()
    assert elsewhere("load", "-i", archived(based, "app.tar")) == "Loaded image: app:latest\n"
    for arch in (OWN, OTHER):
        assert inspected(elsewhere, "app", "--platform", arch) == inspected(based, "app", "--platform", arch)
    assert inspected(elsewhere, "app")["Descriptor"]["digest"] == index
    assert "all is well" in elsewhere("cache", "verify")


def test_of_an_archive_one_platform_can_be_loaded(based: Pybuild, elsewhere: Pybuild) -> None:
    index = based("build", "-q", "--platform", BOTH, "-t", "app", "-", input=NOTHING_RUNS).strip()
    archive = archived(based, "app.tar")
    elsewhere("load", "-i", archive, "--platform", OTHER)
    assert inspected(elsewhere, "app")["Architecture"] == OTHER
    (row,) = json.loads(elsewhere("images", "--format", "json"))
    assert row["id"] == inspected(based, "app", "--platform", OTHER)["Id"], "one that is alone is shown as itself"
    # So that IDs as they are listed can be used.
    assert inspected(elsewhere, row["id"])["RepoTags"] == ["app:latest"]
    refused = elsewhere.try_("inspect", "app", "--platform", OWN)
    assert f"app is not in the store for linux/{OWN}, but for linux/{OTHER}" in refused.stderr
    missing = elsewhere.try_("load", "-i", archive, "--platform", "linux/s390x")
    assert "the image is not made for linux/s390x" in missing.stderr
    elsewhere("rmi", row["id"])
    assert json.loads(elsewhere("images", "--format", "json")) == []
    elsewhere("load", "-i", archive)
    assert inspected(elsewhere, "app")["Architecture"] == OWN
    assert json.loads(elsewhere("images", "--format", "json"))[0]["id"] == index


def test_of_an_archive_that_lacks_platforms_the_others_are_loaded(based: Pybuild, elsewhere: Pybuild) -> None:
    based("build", "-q", "--platform", BOTH, "-t", "app", "-", input=NOTHING_RUNS)
    archived(based, "layout", "oci")
    other = inspected(based, "app", "--platform", OTHER)["Digest"].removeprefix("sha256:")
    (based.work / "layout/blobs/sha256" / other).unlink()
    subprocess.run(["tar", "-C", "layout", "-cf", "part.tar", "."], cwd=based.work, check=True)
    elsewhere("load", "-i", "part.tar")
    assert inspected(elsewhere, "app")["Architecture"] == OWN
    assert elsewhere.try_("load", "-i", "part.tar", "--platform", OTHER).returncode != 0
    own = inspected(based, "app")["Digest"].removeprefix("sha256:")
    (based.work / "layout/blobs/sha256" / own).unlink()
    subprocess.run(["tar", "-C", "layout", "-cf", "none.tar", "."], cwd=based.work, check=True)
    fresh = replace(elsewhere, root=elsewhere.root.parent / "fresh")
    assert "the archive lacks blob" in fresh.try_("load", "-i", "none.tar").stderr
    assert json.loads(fresh("images", "--format", "json")) == []


def saved(pybuild: Pybuild, name: str, *words: str) -> str:
    pybuild("save", "-o", name, *words)
    return f"oci-archive:{pybuild.work}/{name}"


def test_an_index_is_saved_with_all_its_platforms(based: Pybuild, elsewhere: Pybuild) -> None:
    index = based("build", "-q", "--platform", BOTH, "-t", "app", "-", input=NOTHING_RUNS).strip()
    archive = saved(based, "app.tar", "--format", "oci", "app")
    raw = skopeo("inspect", "--raw", archive)
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == index
    skopeo("copy", "--all", archive, f"oci:{based.work}/copied:app")
    elsewhere("load", "-i", "app.tar")
    assert inspected(elsewhere, "app")["Descriptor"]["digest"] == index
    assert elsewhere("rmi", "app").count("Deleted") == 3


def test_one_image_of_an_index_is_saved(based: Pybuild, elsewhere: Pybuild) -> None:
    based("build", "-q", "--platform", BOTH, "-t", "app", "-", input=NOTHING_RUNS)
    other = json.loads(skopeo("inspect", saved(based, "other.tar", "--format", "oci", "--platform", OTHER, "app")))
    assert other["Architecture"] == OTHER
    for words, arch in (((), OWN), (("--platform", OTHER), OTHER)):
        based("save", "-o", "docker.tar", *words, "app")
        assert elsewhere("load", "-i", "docker.tar") == "Loaded image: app:latest\n"
        assert inspected(elsewhere, "app")["Architecture"] == arch
    refused = based.try_("save", "-o", "none.tar", "--platform", "linux/s390x", "app")
    assert f"app is not in the store for linux/s390x, but for linux/{OWN}, linux/{OTHER}" in refused.stderr
    assert not (based.work / "none.tar").exists()


def test_what_is_here_of_an_index_is_saved_if_it_is_one_image(based: Pybuild) -> None:
    three = f"{BOTH},linux/s390x"
    based("build", "-q", "--platform", three, "-t", "app", "-", input=NOTHING_RUNS)
    based("rmi", "-f", inspected(based, "app", "--platform", "linux/s390x")["Id"])
    refused = based.try_("save", "-o", "app.tar", "--format", "oci", "app")
    assert "app:latest cannot be written whole: what it has for linux/s390x is not in the store" in refused.stderr
    assert not (based.work / "app.tar").exists()
    based("rmi", "-f", inspected(based, "app", "--platform", OTHER)["Id"])
    done = based.try_("save", "-o", "app.tar", "--format", "oci", "app")
    assert done.returncode == 0
    assert f"written for one platform alone: what it has for linux/{OTHER}, linux/s390x is not here" in done.stderr
    assert json.loads(skopeo("inspect", f"oci-archive:{based.work}/app.tar"))["Architecture"] == OWN


def test_an_index_without_its_attestations_is_saved_as_it_is(based: Pybuild, elsewhere: Pybuild) -> None:
    based("build", "-q", "--platform", BOTH, "--provenance=true", "-t", "app", "-", input=NOTHING_RUNS)
    whole = archived(based, "whole.tar")
    archived(based, "layout", "oci")
    for entry in inspected(based, "app")["Manifests"]:
        if entry["Kind"] == "attestation":
            (based.work / "layout/blobs/sha256" / entry["ID"].removeprefix("sha256:")).unlink()
    subprocess.run(["tar", "-C", "layout", "-cf", "part.tar", "."], cwd=based.work, check=True)
    elsewhere("load", "-i", "part.tar")
    done = elsewhere.try_("save", "--format", "oci", "-o", "again.tar", "app")
    assert (done.returncode, "without what is told of its images" in done.stderr) == (0, True), done.stderr
    assert skopeo("inspect", "--raw", f"oci-archive:{based.work}/again.tar") == skopeo(
        "inspect", "--raw", f"oci-archive:{based.work}/{whole}"
    )
    # What was told of them can still come.
    elsewhere("load", "-i", whole)
    assert "without" not in elsewhere.try_("save", "--format", "oci", "-o", "again.tar", "app").stderr
    assert "all is well" in elsewhere("cache", "verify")


def test_an_output_is_the_index_that_is_in_the_store(based: Pybuild) -> None:
    built = based.build(CROSS, "--platform", BOTH, "-t", "app", "-o", "type=oci,dest=out.tar", "--iidfile", "iid").ok()
    assert "wrote out.tar" in built.err
    raw = skopeo("inspect", "--raw", f"oci-archive:{based.work}/out.tar")
    assert raw == skopeo("inspect", "--raw", f"oci:{based.root}:app:latest")
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == (based.work / "iid").read_text()


def test_buildah_builds_the_same_platforms(based: Pybuild, tmp_path: Path) -> None:
    """What is copied, what the arguments are, and what the images say, for each platform."""
    based.file("context/Buildfile", COPIED)
    for arch in (OWN, OTHER):
        based.file(f"context/{arch}", f"file for {arch}\n")
    based("build", "-q", "--platform", BOTH, "-t", "app", "-f", "context/Buildfile", "context")
    storage = ("--root", str(tmp_path / "b"), "--runroot", str(tmp_path / "r"), "--storage-driver", "vfs")
    build = ("build", "-q", "--isolation", "chroot", "--platform", BOTH, "--manifest", "list")
    for words in (
        (*build, "-f", "context/Buildfile", "context"),
        ("manifest", "push", "--all", "list", "oci:theirs:x"),
    ):
        subprocess.run(["buildah", *storage, *words], cwd=based.work, check=True, capture_output=True, timeout=120)
    based("save", "--format", "oci", "-o", "ours.tar", "app")
    for arch in (OWN, OTHER):
        ours, theirs = (
            json.loads(skopeo("inspect", "--config", "--override-arch", arch, place))
            for place in (f"oci-archive:{based.work}/ours.tar", f"oci:{based.work}/theirs:x")
        )
        assert ours["architecture"] == theirs["architecture"] == arch
        labels = theirs["config"]["Labels"]
        labels.pop("io.buildah.version", None)
        assert ours["config"]["Labels"] == labels == {"args": f"linux/{OWN} linux/{arch} {arch}"}
        assert files(based.work, f"oci-archive:{based.work}/ours.tar", arch) == {"copied": f"file for {arch}\n"}
        assert files(based.work, f"oci:{based.work}/theirs:x", arch) == {"copied": f"file for {arch}\n"}


def files(work: Path, image: str, arch: str) -> dict[str, str]:
    """The files of an image of one layer or more."""
    directory = tempfile.mkdtemp(dir=work)
    skopeo("--override-arch", arch, "copy", image, f"dir:{directory}")
    found = {}
    for layer in json.loads((Path(directory) / "manifest.json").read_text())["layers"]:
        data = (Path(directory) / layer["digest"].removeprefix("sha256:")).read_bytes()
        plain = zstandard.decompress(data, 1 << 20) if data[:4] == b"\x28\xb5\x2f\xfd" else data
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            found.update({m.name: tar.extractfile(m).read().decode() for m in tar if m.isreg()})  # type: ignore[union-attr]
    return found


# --- registries ----------------------------------------------------------------------------------


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    (tmp_path / "registry").mkdir()
    with Registry(tmp_path / "registry") as started:
        yield started


def test_others_pull_what_is_pushed_by_platform_and_it_comes_back(
    based: Pybuild, elsewhere: Pybuild, registry: Registry
) -> None:
    name = f"{registry.address}/app:1"
    based("build", "-q", "--platform", f"{BOTH},linux/arm/v6", "-t", name, "-", input=NOTHING_RUNS)
    digest = based("manifest", "push", "-q", name, f"{registry.address}/other/name:2").strip()
    based("push", "-q", name)
    raw = registry.manifest("app:1")
    assert registry.manifest("other/name:2") == raw
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == digest
    with Podman() as podman:
        for arch, variant in ((OWN, ""), (OTHER, ""), ("arm", "v6")):
            wanted = "/".join(filter(None, ("linux", arch, variant)))
            image = podman("pull", "-q", "--tls-verify=false", "--platform", wanted, name).strip()
            assert json.loads(podman("image", "inspect", image))[0]["Architecture"] == arch
            assert f"sha256:{image}" == inspected(based, name, "--platform", wanted)["Id"]
    elsewhere("pull", "-q", name)
    elsewhere("pull", "-q", "--platform", OTHER, name)
    about = inspected(elsewhere, name, "--platform", OTHER)
    assert [m["Available"] for m in about["Manifests"]] == [True, True, False]
    assert about["Descriptor"]["digest"] == digest
    # Not all of it is here, but in the registry it came from.
    elsewhere("push", "-q", name)
    assert registry.manifest("app:1") == raw
    assert elsewhere("manifest", "push", "-q", "--purge", name).strip() == digest
    assert elsewhere("images", "-q") == ""


def test_variants_are_found_in_an_index(based: Pybuild) -> None:
    variants = "linux/arm/v5,linux/arm/v7,linux/arm64"
    based("build", "-q", "--platform", variants, "-t", "app", "-", input=NOTHING_RUNS)
    for wanted, found in (
        ("linux/arm/v7", "v7"), ("linux/arm/v6", "v5"), ("linux/arm", "v7"), ("linux/arm/v8", "v7"),
        ("linux/arm64/v8", ""), ("linux/arm64/v9", ""),
    ):  # fmt: skip
        assert inspected(based, "app", "--platform", wanted)["Variant"] == found, wanted
    assert based.try_("inspect", "app", "--platform", "linux/amd64").returncode != 0
    by_default = inspected(based, "app")
    assert (by_default["Architecture"], by_default["Variant"]) == (("arm64", "") if ON_ARM else ("arm", "v5"))
