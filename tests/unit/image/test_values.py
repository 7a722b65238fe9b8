from __future__ import annotations

import pytest

from builder.digest import Digest, VerifyingReader
from builder.errors import BadInputError, NotFoundError, UsageError
from builder.image.config import Healthcheck, History, ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, IndexEntry, Manifest, parse, parse_manifest
from builder.image.mediatypes import DOCKER_LAYER_GZIP, OCI_CONFIG, OCI_LAYER_ZSTD, OCI_MANIFEST
from builder.image.platform import Platform
from builder.image.reference import Reference

D = Digest.of(b"x")
AMD64 = Platform("linux", "amd64")


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("base", "docker.io/library/base", "base"),
        ("base:1", "docker.io/library/base:1", "base:1"),
        ("me/base", "docker.io/me/base", "me/base"),
        ("library/base", "docker.io/library/base", "base"),
        ("index.docker.io/base", "docker.io/library/base", "base"),
        ("localhost/a", "localhost/a", "localhost/a"),
        ("localhost:5000/a/b:t", "localhost:5000/a/b:t", "localhost:5000/a/b:t"),
        ("r.example/a@" + str(D), "r.example/a@" + str(D), "r.example/a@" + str(D)),
        ("a:b@" + str(D), "docker.io/library/a:b@" + str(D), "a:b@" + str(D)),
    ],
)
def test_references_read_as_docker_reads_them(text: str, full: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == full
    assert reference.familiar() == familiar
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    ["", "A", "a b", "a:", "a:-x", "a@sha256:12", "-a", "a//b", "../a", "a:" + "x" * 129, "a" * 300, "a@", "r_x.y:z/a"],
)
def test_what_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Reference.parse(text)


def test_the_default_tag() -> None:
    assert str(Reference.parse("a").tagged()).endswith(":latest")
    assert Reference.parse(f"a@{D}").tagged().tag is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
    ],
)
def test_platforms_normalise(text: str, shown: str) -> None:
    assert str(Platform.parse(text)) == shown


@pytest.mark.parametrize(
    ("wanted", "accepted"),
    [
        ("linux/amd64", "amd64 386"),
        ("linux/amd64/v3", "amd64/v3 amd64/v2 amd64 386"),
        ("linux/arm/v7", "arm/v7 arm/v6 arm/v5"),
        ("linux/arm/v8", "arm/v8 arm/v7 arm/v6 arm/v5"),
        ("linux/arm/v5", "arm/v5"),
        ("linux/arm64", "arm64 arm/v8 arm/v7 arm/v6 arm/v5"),
        ("linux/arm64/v8.2", "arm64/v8.2 arm64/v8.1 arm64 arm/v8 arm/v7 arm/v6 arm/v5"),
        (
            "linux/arm64/v9.1",
            "arm64/v9.1 arm64/v9 arm64/v8.6 arm64/v8.5 arm64/v8.4 arm64/v8.3 arm64/v8.2 arm64/v8.1 arm64 "
            "arm/v8 arm/v7 arm/v6 arm/v5",
        ),
        ("linux/riscv64", "riscv64"),
        ("linux/arm/vx", "arm/vx"),
    ],
)
def test_what_runs_on_a_platform(wanted: str, accepted: str) -> None:
    found = [str(platform).removeprefix("linux/") for platform in Platform.parse(wanted).accepted()]
    assert found == accepted.split()


@pytest.mark.parametrize("text", ["", "windows/amd64", "linux/unknown", "a/b/c/d", "linux/amd64/../x"])
def test_bad_platforms_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Platform.parse(text)


FULL = ImageConfig(
    platform=AMD64,
    created="2026-01-01T00:00:00Z",
    author="me",
    user="1:2",
    env=(("A", "1"), ("B", "x=y")),
    entrypoint=("e",),
    cmd=("c",),
    args_escaped=True,
    working_dir="/w",
    labels=(("l", "v"),),
    exposed_ports=("80/tcp",),
    volumes=("/v",),
    stop_signal="INT",
    healthcheck=Healthcheck(("CMD", "x"), 1, 2, 3, 4, 5),
    on_build=("RUN x",),
    shell=("/bin/sh", "-c"),
    history=(History("RUN x", "2026-01-01T00:00:00Z", "c", "a", True), History("COPY")),
    diff_ids=(D,),
)


def test_a_config_survives_its_json() -> None:
    assert ImageConfig.from_json(FULL.to_json()) == FULL
    assert ImageConfig.from_json(FULL.to_json()).to_json() == FULL.to_json()


def test_what_is_set_to_nothing_is_not_written() -> None:
    empty = ImageConfig(AMD64, cmd=(), entrypoint=(), shell=())
    assert empty.to_json() == ImageConfig(AMD64).to_json()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"[]", b"{", b'{"rootfs":{"diff_ids":["sha256:zz"]}}', b'{"config":{"Env":[1]}}',
        b'{"os":"a\\u0000b"}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_broken_config_is_refused(data: bytes) -> None:
    with pytest.raises(BadInputError):
        ImageConfig.from_json(data)


MANIFEST = Manifest(
    Descriptor(OCI_CONFIG, D, 1), (Descriptor(OCI_LAYER_ZSTD, D, 2, (("a", "b"),)),), annotations=(("x", "y"),)
)


def test_a_manifest_survives_its_json() -> None:
    assert parse_manifest(MANIFEST.to_json()) == MANIFEST


def test_an_index_survives_and_selects() -> None:
    arm = Platform("linux", "arm64")
    entries = (IndexEntry(Descriptor(OCI_MANIFEST, D, 1), arm), IndexEntry(Descriptor(OCI_MANIFEST, D, 2), AMD64))
    index = parse(Index(entries).to_json())
    assert isinstance(index, Index)
    assert index.select(AMD64).size == 2
    with pytest.raises(NotFoundError, match="s390x"):
        index.select(Platform("linux", "s390x"))


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        ("arm/v5 arm/v6 arm/v7", "linux/arm/v7", 2),
        ("arm/v5 arm/v6 arm64", "linux/arm/v7", 1),
        ("arm/v7 arm/v6", "linux/arm/v6", 1),
        ("arm", "linux/arm/v7", 0),
        ("arm/7", "linux/arm", 0),
        ("arm/v7", "linux/arm/v6", None),
        ("arm", "linux/arm/v6", None),
        ("amd64/v3 amd64/v2 amd64", "linux/amd64", 2),
        ("amd64/v3 amd64/v2 amd64", "linux/amd64/v2", 1),
        ("amd64/v1", "linux/amd64", 0),
        ("x86_64", "linux/amd64", 0),
        ("386 amd64", "linux/amd64", 1),
        ("386 arm64", "linux/amd64", 0),
        ("amd64/v3 amd64/v2", "linux/amd64", None),
        ("arm64/v9 arm64/v8", "linux/arm64", 1),
        ("arm/v7 arm64/v8", "linux/arm64", 1),
        ("arm/v6 arm/v7", "linux/arm64", 1),
        ("aarch64", "linux/arm64/v8", 0),
        ("amd64 amd64", "linux/amd64", 0),
        ("s390x", "linux/amd64", None),
    ],
)
def test_the_best_of_an_index_is_chosen(there: str, wanted: str, chosen: int | None) -> None:
    platforms = (Platform("linux", *text.split("/")) for text in there.split())
    entries = (IndexEntry(Descriptor(OCI_MANIFEST, D, number), p) for number, p in enumerate(platforms))
    index = parse(Index(tuple(entries)).to_json())
    assert isinstance(index, Index)
    try:
        assert index.select(Platform.parse(wanted)).size == chosen
    except NotFoundError:
        assert chosen is None


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b'{"schemaVersion":1,"fsLayers":[]}',
        b'{"schemaVersion":2,"config":{"digest":"sha256:1","size":1},"layers":[]}',
        b'{"schemaVersion":2,"config":{"digest":"%s","size":-1},"layers":[]}' % str(D).encode(),
        b'{"schemaVersion":2,"config":{"digest":"%s","size":1},"layers":[{"digest":"%s","size":1,"urls":["u"]}]}'
        % (str(D).encode(), str(D).encode()),
        b"x" * (5 << 20),
    ],
)
def test_a_broken_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(BadInputError):
        parse(data)


def test_dockers_media_types_become_ocis() -> None:
    from builder.image.descriptor import Layer

    layer = Layer(D, D, 1, Descriptor(DOCKER_LAYER_GZIP, D, 1))
    assert Manifest.of(b"{}", [layer]).layers[0].media_type == "application/vnd.oci.image.layer.v1.tar+gzip"


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int = -1) -> bytes:
        size = len(self.data) if size < 0 else size
        out, self.data = self.data[:size], self.data[size:]
        return out


def test_a_blob_is_checked_at_its_end() -> None:
    assert VerifyingReader(Bytes(b"x"), D, 1).read() == b"x"
    for data, size in ((b"y", 1), (b"xx", 1), (b"", 1), (b"x", 2)):
        with pytest.raises(BadInputError):
            VerifyingReader(Bytes(data), D, size).drain()
