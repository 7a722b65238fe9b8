"""Images for several platforms pushed to registries: whole, in part, and with what is attested of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from builder.api.outgoing import outgoing
from builder.api.session import Session
from builder.digest import Digest
from builder.export.base import Attestation, Export, ExportIndex
from builder.export.registry import PushOptions, Watch, push
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest
from builder.image.mediatypes import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST
from builder.image.reference import Reference
from tests.support.program import Pybuild
from tests.support.receiving import Receiver
from tests.support.registry import Registry

TEXT = """FROM scratch
ARG TARGETARCH
COPY about /about
COPY $TARGETARCH /arch
"""
PLATFORMS = "linux/amd64,linux/arm64"
INTOTO = "application/vnd.in-toto+json"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """A store with an image `app` for two platforms."""
    directory = tmp_path_factory.mktemp("template")
    made = Pybuild(directory / "store", directory / "work")
    made.work.mkdir()
    for name in ("about", "amd64", "arm64"):
        made.file(name, name * 1000)
    made.build(TEXT, "-t", "app", "--platform", PLATFORMS).ok()
    return made


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def pybuild(template: Pybuild, tmp_path: Path) -> Pybuild:
    """A copy of it."""
    return template.copied(tmp_path / "store")


@pytest.fixture
def other(template: Pybuild, tmp_path: Path) -> Pybuild:
    """An empty store."""
    return template.on(tmp_path / "other")


def pushed(pybuild: Pybuild, name: str, *options: str, source: str = "app") -> str:
    """Push `source` as `name`; the digest that is printed."""
    pybuild("tag", source, name)
    return pybuild("push", *options, name).splitlines()[-1].split()[2]


def entries(registry: Registry, name: str) -> dict[str, dict[str, Any]]:
    """What an index has, by platform."""
    index = json.loads(registry.manifest(name))
    assert index["mediaType"] == OCI_INDEX
    return {"/".join((e["platform"]["os"], e["platform"]["architecture"])): e for e in index["manifests"]}


def layers(registry: Registry, name: str, entry: dict[str, Any]) -> list[str]:
    manifest = json.loads(registry.manifest(f"{name}@{entry['digest']}"))
    return [layer["mediaType"] for layer in manifest["layers"]]


def test_an_image_for_several_platforms_is_pushed_whole(pybuild: Pybuild, other: Pybuild, registry: Registry) -> None:
    name = f"{registry.address}/several:1"
    digest = pushed(pybuild, name)
    assert digest == str(Digest.of(registry.manifest("several:1")))
    found = entries(registry, "several:1")
    assert set(found) == set(PLATFORMS.split(","))
    for entry in found.values():
        assert layers(registry, "several", entry) == [OCI_LAYER_GZIP] * 2
    for platform in found:
        other("pull", "--platform", platform, name)
        arch = platform.partition("/")[2]
        assert json.loads(other("inspect", "--platform", platform, name))[0]["Architecture"] == arch
    assert "Image is up to date" in pybuild("pull", name)
    assert json.loads(pybuild("inspect", "app"))[0]["RepoDigests"] == [f"{registry.address}/several@{digest}"]
    assert json.loads(other("inspect", name))[0]["RepoDigests"] == [f"{registry.address}/several@{digest}"]


def test_a_build_pushes_an_index(pybuild: Pybuild, registry: Registry) -> None:
    name = f"{registry.address}/built:1"
    pybuild.build(TEXT, "-t", name, "--platform", PLATFORMS, "--push", "--metadata-file", "made").ok()
    digest = json.loads((pybuild.work / "made").read_text())["containerimage.digest"]
    assert digest == str(Digest.of(registry.manifest("built:1")))
    assert set(entries(registry, "built:1")) == set(PLATFORMS.split(","))
    # The same image pushed from the store is the same.
    assert pushed(pybuild, f"{registry.address}/built:2", source=name) == digest
    pybuild.build(TEXT, "-o", f"type=registry,name={name},compression=zstd", "--platform", PLATFORMS).ok()
    for entry in entries(registry, "built:1").values():
        assert layers(registry, "built", entry) == [OCI_LAYER_ZSTD] * 2


def test_manifests_are_there_before_their_index(pybuild: Pybuild, receiver: Receiver) -> None:
    pushed(pybuild, f"{receiver.address}/app:1")
    puts = [line for line in receiver.asked if line.startswith("PUT /v2/app/manifests/")]
    assert len(puts) == 3
    assert puts[-1].endswith("/1")
    first = receiver.asked.index(puts[0])
    assert not any("/blobs/" in line for line in receiver.asked[first:])
    # What both have is sent once.
    assert receiver.count()["PUT uploads"] == 2 + 3


def test_one_platform_is_pushed_where_one_is_asked_for(pybuild: Pybuild, registry: Registry) -> None:
    pushed(pybuild, f"{registry.address}/one:1", "--platform", "linux/arm64")
    manifest = json.loads(registry.manifest("one:1"))
    assert manifest["mediaType"] == OCI_MANIFEST


def test_an_index_that_was_pulled_whole_keeps_its_digest(
    pybuild: Pybuild, other: Pybuild, registry: Registry, receiver: Receiver
) -> None:
    name = f"{registry.address}/whole:1"
    digest = pushed(pybuild, name)
    for platform in PLATFORMS.split(","):
        other("pull", "--platform", platform, name)
    assert pushed(other, f"{receiver.address}/app:1", source=name) == digest
    assert receiver.manifests["app", "1"][0] == registry.manifest("whole:1")


def test_an_index_of_which_a_part_is_here(
    pybuild: Pybuild, other: Pybuild, registry: Registry, receiver: Receiver
) -> None:
    name = f"{registry.address}/part:1"
    digest = pushed(pybuild, name)
    other("pull", "--platform", "linux/arm64", name)
    # Where the registry has the rest, the index is pushed.
    assert pushed(other, f"{registry.address}/part:2", source=name) == digest
    # Elsewhere the image that is here.
    other("tag", name, f"{receiver.address}/app:1")
    done = other.try_("push", f"{receiver.address}/app:1")
    assert done.returncode == 0
    assert "is pushed for one platform alone: what it has for linux/amd64 is not here" in done.stderr
    assert receiver.manifests["app", "1"][1] == OCI_MANIFEST


def test_several_images_that_are_not_all_are_not_pushed(pybuild: Pybuild, registry: Registry, tmp_path: Path) -> None:
    three = Pybuild(tmp_path / "three", pybuild.work)
    three.file("s390x", "s390x")
    name = f"{registry.address}/three:1"
    three.build(TEXT, "-t", name, "--platform", f"{PLATFORMS},linux/s390x", "--push").ok()
    two = Pybuild(tmp_path / "two", pybuild.work)
    for platform in PLATFORMS.split(","):
        two("pull", "--platform", platform, name)
    with Receiver() as receiver:
        two("tag", name, f"{receiver.address}/app:1")
        done = two.try_("push", f"{receiver.address}/app:1")
        assert done.returncode == 4
        assert "linux/s390x is not in the store" in done.stderr
        assert receiver.manifests == {}
        two("push", "--platform", "linux/amd64", f"{receiver.address}/app:1")
        assert receiver.manifests["app", "1"][1] == OCI_MANIFEST


def test_what_is_attested_is_about_the_manifest_that_is_pushed(pybuild: Pybuild, receiver: Receiver) -> None:
    about: list[Digest] = []

    def attest(image: Descriptor) -> Attestation:
        about.append(image.digest)
        statement = msgspec.json.encode({"subject": [{"digest": {"sha256": image.digest.hex}}]})
        parts = tuple(Descriptor(t, Digest.of(d), len(d)) for t, d in ((OCI_CONFIG, b"{}"), (INTOTO, statement)))
        return Attestation(Manifest(parts[0], parts[1:]).to_json(), (b"{}", statement))

    name = Reference.parse(f"{receiver.address}/app:1")
    with Session(pybuild.root) as session, session.store.leases.working():
        found = outgoing(session, "app", (name,))
        assert isinstance(found, ExportIndex)
        images = tuple(replace_attest(image, attest) for image in found.images)
        export = Export((), session.store, session.launcher, (ExportIndex(images, (name,)),))
        (done,) = push(export, session.registries, PushOptions(), Watch(lambda event: None, lambda line: None))
    index = json.loads(receiver.manifests["app", "1"][0])
    assert done.descriptor.digest == Digest.of(receiver.manifests["app", "1"][0])
    images_there, told = index["manifests"][:2], index["manifests"][2:]
    assert [entry["digest"] for entry in images_there] == [str(digest) for digest in about]
    assert [e["annotations"]["vnd.docker.reference.digest"] for e in told] == [str(digest) for digest in about]
    for entry in told:
        attestation = json.loads(receiver.manifests["app", entry["digest"]][0])
        assert receiver.blobs[attestation["layers"][0]["digest"]]


def replace_attest(image: Any, attest: Any) -> Any:
    return msgspec.structs.replace(image, attest=attest)
