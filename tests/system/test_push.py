"""Images pushed to registries: what gets there, what is sent, and who else takes it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.image.mediatypes import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
)
from tests.support.buildah import Buildah
from tests.support.podman import Podman
from tests.support.program import Pybuild
from tests.support.receiving import Receiver, Wire
from tests.support.registry import Registry
from tests.support.rootfs import busybox_rootfs

TEXT = """FROM base
RUN echo hello > /greeting
COPY noise /noise
CMD ["cat", "/greeting"]
"""
# Bytes that no compression makes small, and the same each time: a cut in the middle of them is one in a layer.
NOISE = b"".join(Digest.of(str(n).encode()).hex.encode() for n in range(1)) + os.urandom(600_000)
LAYERS = 3


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """A store with an image `app` of three layers."""
    directory = tmp_path_factory.mktemp("template")
    made = Pybuild(directory / "store", directory / "work")
    made.work.mkdir()
    made.base()
    made.file("noise", NOISE)
    made.build(TEXT, "-t", "app").ok()
    return made


@pytest.fixture
def pybuild(template: Pybuild, tmp_path: Path) -> Pybuild:
    """A copy of it."""
    return template.copied(tmp_path / "store")


@pytest.fixture
def other(template: Pybuild, tmp_path: Path) -> Pybuild:
    """An empty store."""
    return template.on(tmp_path / "other")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def pushed(pybuild: Pybuild, name: str, *options: str, source: str = "app", **env: str) -> str:
    """Push `app` as `name`; the digest that is printed."""
    pybuild("tag", source, name)
    found = re.search(r"^[\w.-]+: digest: (sha256:\w{64}) size: \d+$", pybuild("push", *options, name, **env), re.M)
    assert found
    return found[1]


def document(registry: Registry, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(registry.manifest(name))
    return found


def types(manifest: dict[str, Any]) -> list[str]:
    return [layer["mediaType"] for layer in manifest["layers"]]


def test_a_push_is_told_as_docker_tells_it(pybuild: Pybuild, registry: Registry) -> None:
    name = f"{registry.address}/told"
    pybuild("tag", "app", f"{name}:1")
    first, *layers, last = pybuild("push", f"{name}:1").splitlines()
    assert first == f"The push refers to repository [{name}]"
    diff_ids = json.loads(pybuild("inspect", "app"))[0]["RootFS"]["Layers"]
    assert sorted(layers) == sorted(f"{diff_id[7:19]}: Pushed" for diff_id in diff_ids)
    data = registry.manifest("told:1")
    assert last == f"1: digest: {Digest.of(data)} size: {len(data)}"
    again = pybuild("push", f"{name}:1").splitlines()
    assert sorted(again[1:-1]) == sorted(f"{diff_id[7:19]}: Layer already exists" for diff_id in diff_ids)
    assert again[-1] == last
    assert pybuild("push", "-q", f"{name}:1") == f"{name}:1\n"
    pybuild("tag", "app", name)
    assert pybuild("push", name).splitlines()[0] == "Using default tag: latest"
    listed = next(line.split() for line in pybuild("images", "--digests").splitlines() if line.startswith(name))
    assert listed[:3] == [name, "1", str(Digest.of(data))]
    pybuild("push", "-q", "--digestfile", "digest", f"{name}:1")
    assert (pybuild.work / "digest").read_text() == str(Digest.of(data))


def test_what_is_pushed_is_pulled_and_runs(pybuild: Pybuild, other: Pybuild, registry: Registry) -> None:
    digest = pushed(pybuild, f"{registry.address}/runs:1")
    manifest = document(registry, "runs:1")
    assert manifest["mediaType"] == OCI_MANIFEST
    assert types(manifest) == [OCI_LAYER_GZIP] * LAYERS
    assert other("run", "--rm", f"{registry.address}/runs@{digest}") == "hello\n"
    there, here = (
        json.loads(p("inspect", i))[0] for p, i in ((other, f"{registry.address}/runs@{digest}"), (pybuild, "app"))
    )
    assert there["Id"] == here["Id"]
    assert there["RepoDigests"] == here["RepoDigests"] == [f"{registry.address}/runs@{digest}"]


def test_what_was_pushed_is_known_by_its_digest(pybuild: Pybuild, receiver: Receiver) -> None:
    digest = pushed(pybuild, f"{receiver.address}/known:1")
    before = list(receiver.asked)
    assert pybuild("run", "--rm", f"{receiver.address}/known@{digest}") == "hello\n"
    pybuild.build(f"FROM {receiver.address}/known@{digest}\nRUN cat /greeting\n").ok()
    assert receiver.asked == before
    assert pybuild.try_("inspect", f"{receiver.address}/unknown@{digest}").returncode == 4


def test_what_was_pushed_from_here_is_not_fetched_again(pybuild: Pybuild, registry: Registry) -> None:
    name = f"{registry.address}/back:1"
    digest = pushed(pybuild, name)
    before = sorted(path.name for path in (pybuild.root / "blobs/sha256").iterdir())
    assert "Image is up to date" in pybuild("pull", name)
    assert "Image is up to date" in pybuild("pull", f"{registry.address}/back@{digest}")
    pybuild("rmi", name)
    assert "Downloaded newer image" in pybuild("pull", name)
    assert sorted(path.name for path in (pybuild.root / "blobs/sha256").iterdir()) == before
    assert name in json.loads(pybuild("inspect", "app"))[0]["RepoTags"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--compression", "zstd"), OCI_LAYER_ZSTD),
        (("--compression", "uncompressed"), OCI_LAYER),
        (("--compression", "gzip", "--compression-level", "9"), OCI_LAYER_GZIP),
    ],
)
def test_the_compression_is_chosen(
    pybuild: Pybuild, other: Pybuild, registry: Registry, options: tuple[str, ...], expected: str
) -> None:
    digest = pushed(pybuild, f"{registry.address}/chosen:{len(''.join(options))}", *options)
    manifest = document(registry, f"chosen@{digest}")
    assert types(manifest) == [expected] * LAYERS
    assert other("run", "--rm", f"{registry.address}/chosen@{digest}") == "hello\n"


def test_an_image_that_was_pulled_is_pushed_as_it_came(pybuild: Pybuild, other: Pybuild, registry: Registry) -> None:
    for compression in ("gzip", "zstd"):
        digest = pushed(pybuild, f"{registry.address}/came:{compression}", "--compression", compression)
        other("pull", f"{registry.address}/came:{compression}")
        source = f"{registry.address}/came:{compression}"
        assert pushed(other, f"{registry.address}/goes:{compression}", source=source) == digest
        assert registry.manifest(f"goes:{compression}") == registry.manifest(f"came:{compression}")


def test_a_base_that_was_pulled_is_pushed_as_it_came(pybuild: Pybuild, other: Pybuild, registry: Registry) -> None:
    pushed(pybuild, f"{registry.address}/under:1", "--compression", "gzip", "--compression-level", "9")
    below = document(registry, "under:1")["layers"]
    other.build(f"FROM {registry.address}/under:1\nRUN echo more > /more\n", "-t", "app").ok()
    pushed(other, f"{registry.address}/over:1")
    over = document(registry, "over:1")["layers"]
    assert [layer["digest"] for layer in over[:-1]] == [layer["digest"] for layer in below]
    pushed(other, f"{registry.address}/over:2", "--compression", "zstd")
    assert types(document(registry, "over:2")) == [OCI_LAYER_GZIP] * LAYERS + [OCI_LAYER_ZSTD]
    pushed(other, f"{registry.address}/over:3", "--compression", "zstd", "--force-compression")
    assert types(document(registry, "over:3")) == [OCI_LAYER_ZSTD] * (LAYERS + 1)


def test_plain_layers_of_an_archive_are_compressed(pybuild: Pybuild, other: Pybuild, registry: Registry) -> None:
    pybuild("save", "-o", "archive.tar", "app")
    other("load", "-i", "archive.tar")
    pushed(other, f"{registry.address}/plain:1", source="app")
    assert types(document(registry, "plain:1")) == [OCI_LAYER_GZIP] * LAYERS
    # but those of an image that was pulled are as its maker wanted them
    digest = pushed(pybuild, f"{registry.address}/plain:2", "--compression", "uncompressed")
    other("pull", f"{registry.address}/plain:2")
    assert pushed(other, f"{registry.address}/plain:3", source=f"{registry.address}/plain:2") == digest


def test_only_what_is_missing_is_sent(pybuild: Pybuild, receiver: Receiver) -> None:
    pushed(pybuild, f"{receiver.address}/app:1")
    assert receiver.count() == {
        "HEAD blobs": LAYERS + 1,
        "POST uploads": LAYERS + 1,
        "PUT uploads": LAYERS + 1,
        "HEAD manifests": 1,
        "PUT manifests": 1,
    }
    receiver.asked.clear()
    pybuild.build("FROM app\nRUN echo more > /more\n", "-t", "more").ok()
    pushed(pybuild, f"{receiver.address}/app:2", source="more")
    assert receiver.count() == {
        "HEAD blobs": LAYERS + 2,
        "POST uploads": 2,
        "PUT uploads": 2,
        "HEAD manifests": 1,
        "PUT manifests": 1,
    }
    receiver.asked.clear()
    pushed(pybuild, f"{receiver.address}/app:2", source="more")
    assert receiver.count() == {"HEAD blobs": LAYERS + 2, "HEAD manifests": 1}


def test_layers_are_taken_from_other_repositories(pybuild: Pybuild, receiver: Receiver, registry: Registry) -> None:
    for address in (registry.address, receiver.address):
        digest = pushed(pybuild, f"{address}/first:1")
        pybuild("tag", "app", f"{address}/second/one:1")
        out = pybuild("push", f"{address}/second/one:1").splitlines()
        assert [line.partition(": ")[2] for line in out[1:-1]] == ["Mounted from first"] * LAYERS
        assert digest in out[-1]
    receiver.mounts = False
    assert "Pushed" in pybuild("push", *_tagged(pybuild, f"{receiver.address}/third:1"))
    assert len(receiver.held) == 3 * (LAYERS + 1)


def _tagged(pybuild: Pybuild, name: str) -> list[str]:
    pybuild("tag", "app", name)
    return [name]


def test_a_layer_that_is_gone_here_is_not_made_again_where_it_is(pybuild: Pybuild, receiver: Receiver) -> None:
    pushed(pybuild, f"{receiver.address}/app:1")
    pybuild("cache", "prune", "-f")
    receiver.asked.clear()
    blobs = {path.name for path in (pybuild.root / "blobs/sha256").iterdir()}
    pushed(pybuild, f"{receiver.address}/app:2")
    assert receiver.count() == {"HEAD blobs": LAYERS + 1, "HEAD manifests": 1, "PUT manifests": 1}
    assert {path.name for path in (pybuild.root / "blobs/sha256").iterdir()} == blobs


def test_many_tags_share_one_upload(pybuild: Pybuild, receiver: Receiver) -> None:
    names = [f"{receiver.address}/app:{tag}" for tag in ("a", "b", "c")]
    for name in names:
        pybuild("tag", "app", name)
    out = pybuild("push", *names)
    assert receiver.count()["PUT uploads"] == LAYERS + 1
    assert len(re.findall(r"^[abc]: digest: ", out, re.M)) == 3
    receiver.asked.clear()
    assert pybuild("push", "-q", "--all-tags", f"{receiver.address}/app").split() == names
    assert receiver.count() == {"HEAD blobs": LAYERS + 1, "HEAD manifests": 3}


def test_an_upload_that_breaks_goes_on(pybuild: Pybuild, receiver: Receiver) -> None:
    receiver.cut = [200_000, 100_000, 50_000]
    receiver.busy = [503]
    pushed(pybuild, f"{receiver.address}/app:1")
    assert receiver.count()["PATCH uploads"] >= 1
    manifest = json.loads(receiver.manifests["app", "1"][0])
    for blob in (manifest["config"], *manifest["layers"]):
        assert len(receiver.blobs[blob["digest"]]) == blob["size"]


def test_an_upload_over_a_wire_that_breaks_goes_on(pybuild: Pybuild, other: Pybuild, registry: Registry) -> None:
    with Wire(registry.address, [150_000, 400_000, 100_000]) as wire:
        digest = pushed(pybuild, f"{wire.address}/broken:1")
    assert other("run", "--rm", f"{registry.address}/broken@{digest}") == "hello\n"


def test_a_registry_that_takes_no_large_request(pybuild: Pybuild, receiver: Receiver) -> None:
    receiver.largest = 300_000
    pushed(pybuild, f"{receiver.address}/app:1")
    assert receiver.count()["PATCH uploads"] >= 2


def test_uploads_may_go_to_another_host(pybuild: Pybuild, receiver: Receiver) -> None:
    login = base64.b64encode(b"somebody:secret").decode()
    receiver.login = f"Basic {login}"
    authfile = pybuild.file("auth.json", json.dumps({"auths": {receiver.address: {"auth": login}}}), 0o600)
    with Receiver(blobs=receiver.blobs, held=receiver.held, uploads=receiver.uploads) as store:
        receiver.elsewhere = store.address
        pushed(pybuild, f"{receiver.address}/app:1", "--authfile", str(authfile))
        assert store.count() == {"PUT uploads": LAYERS + 1}
        assert {authorization for _, authorization in store.seen} == {None}  # not for that host


@pytest.mark.parametrize(
    ("begin", "status", "said", "expected"),
    [
        ("POST", 401, '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}', "pybuild login"),
        ("POST", 403, '{"errors":[{"code":"DENIED","message":"requested access is denied"}]}', "access is denied"),
        ("PUT /v2/app/blobs", 403, '{"errors":[{"code":"DENIED","message":"quota exceeded"}]}', "quota exceeded"),
        ("PUT /v2/app/manifests", 409, '{"errors":[{"code":"TAG_INVALID","message":"tag is immutable"}]}', "immutable"),
        ("PUT /v2/app/manifests", 400, "<html>", "400"),
        ("POST", 500, "", "500"),
    ],
)
def test_what_a_registry_refuses_is_told(
    pybuild: Pybuild, receiver: Receiver, begin: str, status: int, said: str, expected: str
) -> None:
    receiver.refusals[begin] = status, said
    pybuild("tag", "app", f"{receiver.address}/app:1")
    done = pybuild.try_("push", f"{receiver.address}/app:1")
    assert done.returncode == 8
    assert expected in done.stderr
    assert receiver.address in done.stderr
    assert "app" in done.stderr or status == 401
    assert receiver.manifests == {}
    assert pybuild.try_("cache", "verify").returncode == 0


def test_a_push_that_is_killed_is_continued_by_the_next(pybuild: Pybuild, receiver: Receiver) -> None:
    pybuild("tag", "app", f"{receiver.address}/app:1")
    done = pybuild.try_("push", f"{receiver.address}/app:1", PYBUILD_POINT="push:blob=kill@2")
    assert done.returncode == -9
    assert receiver.manifests == {}
    there = set(receiver.blobs)
    assert there
    receiver.asked.clear()
    pushed(pybuild, f"{receiver.address}/app:1")
    assert receiver.count()["PUT uploads"] == LAYERS + 1 - len(there)
    assert pybuild.try_("cache", "verify").returncode == 0
    assert list((pybuild.root / "tmp").iterdir()) == []


def test_a_push_that_is_killed_while_it_compresses_leaves_nothing(pybuild: Pybuild, receiver: Receiver) -> None:
    pybuild("tag", "app", f"{receiver.address}/app:1")
    done = pybuild.try_("push", f"{receiver.address}/app:1", PYBUILD_POINT="compressed:written=kill@2")
    assert done.returncode == -9
    pushed(pybuild, f"{receiver.address}/app:1")
    assert pybuild.try_("cache", "verify").returncode == 0
    pybuild("cache", "prune", "-f")
    assert list((pybuild.root / "tmp").iterdir()) == []


def test_a_registry_that_dies_is_told_of_and_the_next_push_goes_on(pybuild: Pybuild, receiver: Receiver) -> None:
    pybuild("tag", "app", f"{receiver.address}/app:1")
    receiver.alive = LAYERS + 4
    done = pybuild.try_("push", f"{receiver.address}/app:1")
    assert done.returncode == 8
    assert re.search(rf"blob sha256:\w{{64}} could not be sent to {receiver.address}/app: ", done.stderr)
    assert receiver.manifests == {}
    receiver.alive = None
    there = len(receiver.blobs)
    receiver.asked.clear()
    pushed(pybuild, f"{receiver.address}/app:1")
    assert receiver.count()["PUT uploads"] == LAYERS + 1 - there


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_push_that_is_interrupted_ends(pybuild: Pybuild, receiver: Receiver, number: int, status: int) -> None:
    pybuild("tag", "app", f"{receiver.address}/app:1")
    receiver.stalls = threading.Event()
    try:
        process = pybuild.start("push", f"{receiver.address}/app:1")
        assert receiver.stalled.wait(60)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)  # the registry still keeps silent
    finally:
        receiver.stalls.set()
    assert process.returncode == status, err
    assert b"Traceback" not in err
    assert b"Pushed" not in out
    assert pybuild.try_("cache", "verify").returncode == 0


@pytest.mark.parametrize("what", ["missing", "localhost/missing:1", f"app@sha256:{'0' * 64}", "UPPER"])
def test_what_cannot_be_pushed_is_told(pybuild: Pybuild, what: str) -> None:
    done = pybuild.try_("push", what)
    assert done.returncode in (2, 4)
    assert what in done.stderr


def test_other_programs_take_what_is_pushed(
    pybuild: Pybuild, other: Pybuild, registry: Registry, tmp_path: Path
) -> None:
    """What podman writes anew keeps its image ID, what skopeo copies its digest."""
    digest = pushed(pybuild, f"{registry.address}/others:1")
    name = f"{registry.address}/others@{digest}"
    with Podman() as podman:
        podman("pull", "--quiet", "--tls-verify=false", name)
        with podman.mounted(name) as tree:
            assert (tree / "greeting").read_text() == "hello\n"
        podman("tag", name, f"{registry.address}/podman:1")
        podman("push", "--quiet", "--tls-verify=false", f"{registry.address}/podman:1")
    (tmp_path / "buildah").mkdir()
    Buildah(tmp_path / "buildah").copy(name, f"{registry.address}/buildah:1")
    for back in (f"{registry.address}/podman:1", f"{registry.address}/buildah:1"):
        assert other("run", "--rm", back) == "hello\n"
        assert json.loads(other("inspect", back))[0]["Id"] == json.loads(pybuild("inspect", "app"))[0]["Id"]
    registry.push(f"docker://{name}", "skopeo:1", "--src-tls-verify=false", "--preserve-digests")
    assert Digest.of(registry.manifest("skopeo:1")) == Digest.parse(digest)


def test_a_build_pushes_what_it_makes(pybuild: Pybuild, registry: Registry) -> None:
    one, two = f"{registry.address}/built:1", f"{registry.address}/built:2"
    done = pybuild.build("FROM app\n", "-t", one, "-t", two, "--push", "--metadata-file", "made").ok()
    assert registry.manifest("built:1") == registry.manifest("built:2")
    digest = json.loads((pybuild.work / "made").read_text())["containerimage.digest"]
    assert digest == str(Digest.of(registry.manifest("built:1")))
    assert f"1: digest: {digest}" in done.err
    assert {one, two} <= set(json.loads(pybuild("inspect", one))[0]["RepoTags"])


def test_outputs_to_registries(pybuild: Pybuild, registry: Registry, receiver: Receiver) -> None:
    names = f"{registry.address}/out:a,{receiver.address}/out:b"
    pybuild.build("FROM app\nLABEL a=1\n", "-o", f'type=registry,"name={names}"').ok()
    assert types(document(registry, "out:a")) == [OCI_LAYER_GZIP] * LAYERS
    assert receiver.manifests["out", "b"][0] == registry.manifest("out:a")
    assert pybuild.try_("inspect", f"{registry.address}/out:a").returncode == 4
    pybuild.build("FROM app\nLABEL a=2\n", "-o", f"type=image,name={names},push=true,compression=zstd").ok()
    assert types(document(registry, "out:a")) == [OCI_LAYER_ZSTD] * LAYERS
    assert json.loads(pybuild("inspect", f"{registry.address}/out:a"))[0]["Config"]["Labels"] == {"a": "2"}
    receiver.asked.clear()
    pybuild.build("FROM app\nLABEL a=3\n", "-o", f"type=image,name={receiver.address}/out:c").ok()
    assert pybuild.try_("inspect", f"{receiver.address}/out:c").returncode == 0
    pybuild.build("FROM app\nLABEL a=4\n", "-o", f"type=image,name={receiver.address}/out:d,store=false").ok()
    assert pybuild.try_("inspect", f"{receiver.address}/out:d").returncode == 4
    assert receiver.asked == []


def test_a_push_by_digest_sets_no_tag(pybuild: Pybuild, receiver: Receiver) -> None:
    done = pybuild.build(
        "FROM app\n", "-o", f"type=registry,name={receiver.address}/out,push-by-digest=true", "--metadata-file", "made"
    ).ok()
    digest = json.loads((pybuild.work / "made").read_text())["containerimage.digest"]
    assert set(receiver.manifests) == {("out", digest)}
    assert f"{digest}: digest: {digest}" in done.err


def test_docker_s_media_types(pybuild: Pybuild, other: Pybuild, registry: Registry) -> None:
    name = f"{registry.address}/schema2:1"
    pybuild.build("FROM app\n", "-o", f"type=registry,name={name},oci-mediatypes=false").ok()
    manifest = document(registry, "schema2:1")
    assert manifest["mediaType"] == DOCKER_MANIFEST
    assert manifest["config"]["mediaType"] == DOCKER_CONFIG
    assert types(manifest) == [DOCKER_LAYER_GZIP] * LAYERS
    assert other("run", "--rm", name) == "hello\n"
    assert pushed(other, f"{registry.address}/schema2:2", source=name) == str(Digest.of(registry.manifest("schema2:1")))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("type=registry", "needs a name"),
        ("type=image,push=true", "needs a name"),
        ("type=registry,name=UPPER", "lower case"),
        ("type=registry,name=a,compression=estargz", "estargz is not known"),
        ("type=registry,name=a,compression-level=3", "goes with compression"),
        ("type=registry,name=a,force-compression=true", "goes with compression"),
        ("type=registry,name=a,compression=zstd,oci-mediatypes=false", "zstd"),
        ("type=registry,name=a,compression=gzip,compression-level=10", "compression-level=10"),
        ("type=image,name=a,push=maybe", "neither true nor false"),
        ("type=registry,name=a,dest=/x", "no option 'dest'"),
    ],
)
def test_outputs_that_cannot_be_are_told_before_anything_runs(pybuild: Pybuild, output: str, expected: str) -> None:
    done = pybuild.build("FROM app\nRUN echo unlike > /ran\n", "-o", output)
    assert done.status == 2
    assert expected in done.err
    assert done.ran == []


def test_two_cold_builds_are_one_digest(
    template: Pybuild, registry: Registry, receiver: Receiver, tmp_path: Path
) -> None:
    digests = []
    for number, address in enumerate((registry.address, receiver.address)):
        cold = Pybuild(tmp_path / str(number), template.work)
        cold("import", "-", "base", input=busybox_rootfs(), SOURCE_DATE_EPOCH="1000000000")
        cold.build(TEXT, "-t", f"{address}/cold:1", "--push", SOURCE_DATE_EPOCH="1000000000").ok()
        digests.append(json.loads(cold("inspect", f"{address}/cold:1"))[0]["RepoDigests"][0].partition("@")[2])
    assert digests[0] == digests[1] == str(Digest.of(registry.manifest("cold:1")))
