"""`pybuild pull`: what it prints and keeps, what it does beside others, and what it refuses of a registry."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from builder.digest import Digest
from builder.image.mediatypes import (
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
)
from builder.image.platform import Platform, host
from tests.support.program import Pybuild
from tests.support.registry import FakeRegistry, Page, Registry
from tests.support.rootfs import BUSYBOX, busybox_rootfs, directory, member, tar
from tests.support.tree import listing

MANIFEST = "/v2/app/manifests/1"


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


class Image:
    """Documents of an image `app:1`, put into a registry piece by piece."""

    def __init__(self, fake: FakeRegistry, platform: Platform | None = None) -> None:
        self.fake = fake
        self.layers: list[dict[str, Any]] = []
        self.diff_ids: list[str] = []
        self.platform = platform or host()

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        digest = str(Digest.of(data))
        self.fake.pages[f"/v2/app/blobs/{digest}"] = Page(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def layer(self, plain: bytes, media_type: str = OCI_LAYER_GZIP, packed: bytes | None = None) -> dict[str, Any]:
        """Add a layer of the tar `plain`, which `packed` are the bytes of."""
        self.layers.append(self.blob(gzip.compress(plain, 1, mtime=0) if packed is None else packed, media_type))
        self.diff_ids.append(str(Digest.of(plain)))
        return self.layers[-1]

    def manifest(self, *tags: str, **changes: Any) -> dict[str, Any]:
        """Put the manifest by its digest and by `tags` (default: 1); gives its descriptor."""
        config = {
            "os": self.platform.os,
            "architecture": self.platform.architecture,
            "variant": self.platform.variant,
            "config": {"Cmd": ["cat", "/which"]},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
        }
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(json.dumps(config).encode(), OCI_CONFIG),
            "layers": self.layers,
        }
        return put(self.fake, {**document, **changes}, *(tags or ("1",)))


def put(fake: FakeRegistry, document: dict[str, Any], *tags: str) -> dict[str, Any]:
    """Put a manifest or an index by its digest and by `tags`; gives its descriptor."""
    data = json.dumps(document).encode()
    kind = document["mediaType"]
    for name in (str(Digest.of(data)), *tags):
        fake.pages[f"/v2/app/manifests/{name}"] = Page(data, headers={"Content-Type": kind})
    return {"mediaType": kind, "digest": str(Digest.of(data)), "size": len(data)}


def index(fake: FakeRegistry, *entries: dict[str, Any], tags: tuple[str, ...] = ("1",)) -> dict[str, Any]:
    return put(fake, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}, *tags)


def small(fake: FakeRegistry, text: str = "yes", platform: Platform | None = None) -> Image:
    """An image of busybox and a file /which."""
    image = Image(fake, platform)
    image.layer(busybox_rootfs())
    image.layer(tar(member("which", text.encode())))
    return image


def refused(pybuild: Pybuild, fake: FakeRegistry) -> tuple[int, str]:
    """The status and the error of a pull of app:1, which leaves the store as it was; the error names the image."""
    done = pybuild.try_("pull", "--progress", "quiet", f"{fake.address}/app:1")
    assert pybuild("images", "-q") == ""
    check_clean(pybuild)
    assert fake.address in done.stderr
    assert done.stderr.count("error: ") == 1, done.stderr
    return done.returncode, done.stderr


def check_clean(pybuild: Pybuild) -> None:
    """Nothing half fetched is there."""
    assert not list((pybuild.root / "tmp").iterdir())
    assert not list((pybuild.root / "locks").glob("key-*"))
    for blob in (pybuild.root / "blobs" / "sha256").iterdir():
        assert Digest.of(blob.read_bytes()).hex == blob.name


# --- what is printed and kept --------------------------------------------------------------------


def test_what_is_printed(pybuild: Pybuild, fake: FakeRegistry) -> None:
    image = small(fake)
    digest = image.manifest()["digest"]
    name = f"{fake.address}/app:1"
    first = pybuild("pull", name).splitlines()
    blobs = [layer["digest"].removeprefix("sha256:")[:12] for layer in image.layers]
    assert first[:3] == ["1: Pulling from app", *(f"{blob}: Pulling fs layer" for blob in blobs)]
    assert sorted(first[3:5]) == sorted(f"{blob}: Pull complete" for blob in blobs)
    assert first[5:] == [f"Digest: {digest}", f"Status: Downloaded newer image for {name}", name]
    assert pybuild("pull", name).splitlines() == [
        "1: Pulling from app",
        *(f"{blob}: Already exists" for blob in blobs),
        f"Digest: {digest}",
        f"Status: Image is up to date for {name}",
        name,
    ]
    assert pybuild("pull", "-q", name) == f"{name}\n"
    assert pybuild("run", "--rm", name) == "yes"


def test_the_default_tag_and_all_tags(pybuild: Pybuild, fake: FakeRegistry) -> None:
    image = small(fake)
    digest = image.manifest("1", "latest")["digest"]
    name = f"{fake.address}/app"
    assert pybuild("pull", name).startswith("Using default tag: latest\nlatest: Pulling from app\n")
    assert pybuild("pull", "-q", f"{name}@{digest}") == f"{name}@{digest}\n"
    # In two pages, the second of which the first names.
    fake.pages["/v2/app/tags/list"] = Page(b'{"tags":["1"]}', headers={"Link": '</v2/app/tags/more?n=1>; rel="next"'})
    fake.pages["/v2/app/tags/more"] = Page(b'{"name":"app","tags":["latest"]}')
    assert pybuild("pull", "-q", "--all-tags", name) == f"{name}:1\n{name}:latest\n"
    assert pybuild.try_("pull", "-a", f"{name}:1").returncode == 2
    fake.pages["/v2/app/tags/more"].headers["Link"] = '</v2/app/tags/more>; rel="next"'
    endless = pybuild.try_("pull", "-a", name)
    assert (endless.returncode, "has no end" in endless.stderr) == (8, True), endless.stderr


def test_all_tags_of_a_real_registry(pybuild: Pybuild, tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    pybuild.base()
    with Registry(tmp_path / "registry") as registry:
        for tag in ("one", "two"):
            registry.push(f"oci:{pybuild.root}:base:latest", f"some/app:{tag}")
        other = replace(pybuild, root=pybuild.root.with_name("other"))
        names = [f"{registry.address}/some/app:{tag}" for tag in ("one", "two")]
        assert other("pull", "-aq", f"{registry.address}/some/app").splitlines() == names


def test_an_image_of_an_index_is_chosen_and_the_index_kept(pybuild: Pybuild, fake: FakeRegistry) -> None:
    entries = []
    for platform in (Platform("linux", "s390x"), host()):
        entry = small(fake, str(platform), platform).manifest("unused")
        entries.append({**entry, "platform": {"os": platform.os, "architecture": platform.architecture}})
    attestation = {**entries[1], "platform": {"os": "unknown", "architecture": "unknown"}}
    digest = index(fake, attestation, *entries)["digest"]
    name = f"{fake.address}/app:1"
    assert f"Digest: {digest}\n" in pybuild("pull", name)
    assert pybuild("run", "--rm", name) == str(host())
    fake.asked.clear()
    # By the digest that was printed, too, nothing is asked for again.
    pinned = f"{fake.address}/app@{digest}"
    assert pybuild.build(f"FROM {pinned}\nRUN cat /which\n").ok().ran == ["RUN cat /which"]
    assert fake.asked == []
    pybuild("pull", "--platform", "linux/s390x", name)
    blobs = [asked.path for asked in fake.asked if "/blobs/" in asked.path]
    assert len(blobs) == 2  # the config, and the one layer that is another
    missing = pybuild.try_("pull", "--platform", "linux/riscv64", name)
    assert (missing.returncode, "linux/s390x" in missing.stderr) == (4, True), missing.stderr


def test_an_image_for_another_machine_is_taken_with_a_warning(pybuild: Pybuild, fake: FakeRegistry) -> None:
    small(fake, platform=Platform("linux", "s390x")).manifest()
    done = pybuild.try_("pull", f"{fake.address}/app:1")
    assert done.returncode == 0
    assert f"WARNING: {fake.address}/app:1 is made for linux/s390x, not for {host()}" in done.stderr


@pytest.mark.parametrize("packed", ["gzip", "zstd", "uncompressed"])
@pytest.mark.parametrize("label", [OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD])
def test_layers_that_are_not_what_they_are_called(
    pybuild: Pybuild, fake: FakeRegistry, packed: str, label: str
) -> None:
    """What is made of them is known by what they are: unpacked again, they are the same."""
    image = Image(fake)
    for plain in (busybox_rootfs(), tar(member("which", b"yes"))):
        data = {"gzip": gzip.compress(plain, 1), "zstd": zstandard.compress(plain), "uncompressed": plain}[packed]
        image.layer(plain, label, data)
    image.manifest()
    name = f"{fake.address}/app:1"
    pybuild("pull", name)
    assert json.loads(pybuild("inspect", name))[0]["RootFS"]["Layers"] == image.diff_ids
    for diff_id in image.diff_ids:
        os.rename(pybuild.root / "snapshots" / diff_id.removeprefix("sha256:"), pybuild.work / diff_id)
    assert pybuild("run", "--rm", name) == "yes"
    pybuild("cache", "verify")


# --- beside others -------------------------------------------------------------------------------


class Gate:
    """Bytes of a page that are sent only when it is opened; `reached` is set when they are to be sent."""

    def __init__(self, fake: FakeRegistry, digest: str) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        path = f"/v2/app/blobs/{digest}"
        page = fake.pages[path]
        gate = self

        class Waiting(bytes):
            def __len__(self) -> int:
                gate.reached.set()
                gate.open.wait(300)
                return bytes.__len__(self)

        fake.pages[path] = replace(page, body=Waiting(page.body))


def test_two_pulls_fetch_a_shared_layer_once(pybuild: Pybuild, fake: FakeRegistry) -> None:
    image = small(fake)
    image.manifest()
    gate = Gate(fake, image.layers[0]["digest"])
    first = pybuild.start("pull", "-q", f"{fake.address}/app:1")
    assert gate.reached.wait(30)
    second = pybuild.start("pull", "-q", f"{fake.address}/app:1")
    manifests = 2
    deadline = time.monotonic() + 30
    while sum(asked.path == MANIFEST for asked in fake.asked) < manifests and time.monotonic() < deadline:
        time.sleep(0.01)
    gate.open.set()
    for process in (first, second):
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    for layer in image.layers:
        assert sum(asked.path.endswith(layer["digest"]) for asked in fake.asked) == 1
    check_clean(pybuild)


def test_a_layer_that_comes_twice_is_fetched_once(pybuild: Pybuild, fake: FakeRegistry) -> None:
    image = small(fake)
    image.layer(tar(member("which", b"again")))
    for _ in range(2):
        image.layers.append(image.layers[1])
        image.diff_ids.append(image.diff_ids[1])
    image.manifest()
    assert pybuild("run", "--rm", f"{fake.address}/app:1") == "yes"
    assert sum(asked.path.endswith(image.layers[1]["digest"]) for asked in fake.asked) == 1


def test_a_tag_that_moves_while_it_is_pulled(pybuild: Pybuild, fake: FakeRegistry) -> None:
    """What was there at first is pulled whole; the tag is asked for once."""
    image = small(fake, "first")
    digest = image.manifest()["digest"]
    gate = Gate(fake, image.layers[1]["digest"])
    pulling = pybuild.start("pull", f"{fake.address}/app:1")
    assert gate.reached.wait(30)
    small(fake, "second").manifest()
    gate.open.set()
    out, err = pulling.communicate(timeout=60)
    assert (pulling.returncode, f"Digest: {digest}" in out.decode()) == (0, True), err
    assert sum(asked.path == MANIFEST for asked in fake.asked) == 1
    assert pybuild("run", "--rm", f"{fake.address}/app:1") == "first"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_pull_that_is_ended_is_taken_up_again(pybuild: Pybuild, fake: FakeRegistry, number: signal.Signals) -> None:
    image = small(fake)
    image.manifest()
    gate = Gate(fake, image.layers[0]["digest"])
    pulling = pybuild.start("pull", f"{fake.address}/app:1")
    assert gate.reached.wait(30)
    done = pybuild.root / "blobs" / "sha256" / image.layers[1]["digest"].removeprefix("sha256:")
    assert pulling.stdout is not None
    complete = f"{done.name[:12]}: Pull complete".encode()  # the blob alone is there a moment before
    assert any(line.startswith(complete) for line in pulling.stdout)
    pulling.send_signal(number)
    _, err = pulling.communicate(timeout=60)  # though the registry says nothing for much longer
    assert pulling.returncode in (-number, 128 + number), err
    if number != signal.SIGKILL:
        assert not list((pybuild.root / "tmp").iterdir())
    gate.open.set()
    fake.asked.clear()
    assert pybuild("pull", "-q", f"{fake.address}/app:1") == f"{fake.address}/app:1\n"
    assert not [asked for asked in fake.asked if asked.path.endswith(done.name)]
    check_clean(pybuild)


# --- what is refused -----------------------------------------------------------------------------


def descriptor(size: int, media_type: str = OCI_LAYER_GZIP) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(b"none")), "size": size}


FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
UNSHARED = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"layers": [descriptor(1, FOREIGN)]}, 5, "foreign layers"),
        ({"layers": [descriptor(1, UNSHARED)]}, 5, "foreign layers"),
        ({"layers": [{**descriptor(1), "urls": ["https://example.com/x"]}]}, 5, "foreign layers"),
        ({"layers": [descriptor(1, "application/vnd.in-toto+json")]}, 5, "'application/vnd.in-toto+json' are not"),
        ({"layers": [descriptor(4 << 30, OCI_LAYER)] * 1000}, 5, "its manifest has 1000 layers, and its config 2"),
        ({"layers": [descriptor(1)] * 1001}, 5, "1001 layers"),
        ({"layers": [descriptor(1 << 60), descriptor(1 << 61)]}, 6, f"has {3 << 60} bytes to be fetched"),
        ({"layers": [descriptor(1 << 70)]}, 5, f"a descriptor of {1 << 70} bytes"),
        ({"layers": [descriptor(-1)]}, 5, "-1 bytes"),
        ({"config": descriptor(1, "application/vnd.cncf.helm.config.v1+json")}, 5, "it is no image, but holds"),
        ({"config": descriptor(4 << 30, OCI_CONFIG)}, 5, "more than 8388608 are not read"),
        ({"config": {"mediaType": OCI_CONFIG, "digest": "sha512:" + "0" * 128, "size": 2}}, 5, "not a usable digest"),
        ({"schemaVersion": 1}, 5, "schema 1"),
        ({"mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"}, 5, "neither"),
    ],
    ids=range(14),
)
def test_manifests_that_are_refused_before_a_layer_is_fetched(
    pybuild: Pybuild, fake: FakeRegistry, changes: dict[str, Any], status: int, message: str
) -> None:
    image = small(fake)
    image.manifest(**changes)
    got, err = refused(pybuild, fake)
    assert (got, message in err) == (status, True), err
    blobs = [asked.path for asked in fake.asked if "/blobs/" in asked.path]
    assert len(blobs) <= 1  # the config


def test_indexes_in_indexes(pybuild: Pybuild, fake: FakeRegistry) -> None:
    entry = small(fake).manifest("image")
    for _ in range(4):
        entry = index(fake, entry)
    assert pybuild("pull", "-q", f"{fake.address}/app:1") == f"{fake.address}/app:1\n"
    index(fake, entry)
    deep = pybuild.try_("pull", f"{fake.address}/app:1")
    assert (deep.returncode, "its indexes are nested more than 4 deep" in deep.stderr) == (5, True), deep.stderr


def test_an_index_that_names_itself(pybuild: Pybuild, fake: FakeRegistry) -> None:
    """It cannot by its digest: what comes by that is another thing, and refused as such."""
    document = index(fake, {"mediaType": OCI_INDEX, "digest": str(Digest.of(b"self")), "size": 300})
    fake.pages[f"/v2/app/manifests/{Digest.of(b'self')}"] = fake.pages[f"/v2/app/manifests/{document['digest']}"]
    status, err = refused(pybuild, fake)
    assert (status, "is damaged: its content hashes to" in err) == (5, True), err


@pytest.mark.parametrize(("lie", "message"), [(-1, "were declared"), (1, "were declared"), (4 << 30, "are not read")])
def test_an_index_that_lies_about_a_size(pybuild: Pybuild, fake: FakeRegistry, lie: int, message: str) -> None:
    entry = small(fake).manifest("image")
    index(fake, {**entry, "size": entry["size"] + lie})
    status, err = refused(pybuild, fake)
    assert (status, message in err) == (5, True), err


@pytest.mark.parametrize("lie", [-1, 1])
@pytest.mark.parametrize("part", ["config", "layer"])
def test_a_manifest_that_lies_about_a_size(pybuild: Pybuild, fake: FakeRegistry, part: str, lie: int) -> None:
    image = small(fake)
    if part == "layer":
        image.layers[1]["size"] += lie
        image.manifest()
    else:
        manifest = image.manifest()
        config = json.loads(fake.pages[MANIFEST].body)["config"]
        assert manifest
        image.manifest(config={**config, "size": config["size"] + lie})
    status, err = refused(pybuild, fake)
    assert (status, "declared" in err) == (5, True), err


def test_a_config_that_names_other_layers(pybuild: Pybuild, fake: FakeRegistry) -> None:
    image = small(fake)
    image.diff_ids[1] = str(Digest.of(b"other"))
    image.manifest()
    status, err = refused(pybuild, fake)
    assert (status, f"the image's config names {image.diff_ids[1]}" in err) == (5, True), err
    assert image.layers[1]["digest"] in err
    assert not (pybuild.root / "blobs" / "sha256" / image.layers[1]["digest"].removeprefix("sha256:")).exists()


def test_layers_in_formats_that_no_image_has(pybuild: Pybuild, fake: FakeRegistry) -> None:
    import bz2

    plain = busybox_rootfs()
    image = Image(fake)
    image.layer(plain, OCI_LAYER_GZIP, bz2.compress(plain))
    image.manifest()
    status, err = refused(pybuild, fake)
    assert (status, "it is compressed with bzip2" in err) == (5, True), err


def test_a_docker_manifest(pybuild: Pybuild, fake: FakeRegistry) -> None:
    image = Image(fake)
    zstd = "application/vnd.docker.image.rootfs.diff.tar.zstd"
    image.layer(busybox_rootfs(), "application/vnd.docker.image.rootfs.diff.tar.gzip")
    image.layer(tar(member("which", b"yes")), zstd, zstandard.compress(tar(member("which", b"yes"))))
    image.manifest(mediaType=DOCKER_MANIFEST)
    assert pybuild("run", "--rm", f"{fake.address}/app:1") == "yes"


def bomb(size: int) -> bytes:
    """A gzip of a tar with one file of `size` zeros, made without holding it."""
    import io

    out = io.BytesIO()
    info, _ = member("bomb")
    info.size = size
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as packed:
        packed.write(info.tobuf())
        for _ in range(size >> 20):
            packed.write(bytes(1 << 20))
    return out.getvalue()


def test_a_layer_that_unpacks_to_very_much(pybuild: Pybuild, fake: FakeRegistry) -> None:
    """A user's own limit here, so that not much need be written."""
    home = pybuild.work / "home"
    (home / "pybuild").mkdir(parents=True)
    settings = home / "pybuild" / "config.toml"
    settings.write_text('[images]\nunpacked-bytes = "20MB"\n')
    limited = replace(pybuild, env={"XDG_CONFIG_HOME": str(home)})
    image = Image(fake)
    packed = bomb(40 << 20)
    image.layer(b"", OCI_LAYER_GZIP, packed)
    image.manifest()
    status, err = refused(limited, fake)
    assert (status, "unpack to more than" in err, "unpacked-bytes" in err) == (5, True, True), err
    # Much that was packed as much is no bomb.
    image = Image(fake)
    image.layer(tar(directory("d"), member("d/noise", os.urandom(25_000_000))))
    image.manifest()
    limited("pull", "-q", f"{fake.address}/app:1")


def test_a_disk_that_is_full_in_the_middle_of_a_pull(pybuild: Pybuild, fake: FakeRegistry, tmp_path: Path) -> None:
    """What compressed layers take is known before; what they unpack to is not."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], check=True)
    try:
        limited = replace(pybuild, root=place / "store")
        image = small(fake)
        large = image.layer(tar(member("zeros", bytes(40 << 20))))
        image.manifest()
        status, err = refused(limited, fake)
        assert (status, "no space left for the store" in err) == (6, True), err
        assert not (limited.root / "blobs" / "sha256" / large["digest"].removeprefix("sha256:")).exists()
        large["size"] = 30 << 20
        image.manifest()
        status, err = refused(limited, fake)
        assert (status, "bytes to be fetched" in err) == (6, True), err
        subprocess.run(["mount", "-o", "remount,size=200m", place], check=True)
        image.layers[-1] = image.blob(fake.pages[f"/v2/app/blobs/{large['digest']}"].body, OCI_LAYER_GZIP)
        image.manifest()
        assert limited("run", "--rm", f"{fake.address}/app:1") == "yes"
    finally:
        subprocess.run(["umount", "-l", place], check=True)


# --- what layers hold ----------------------------------------------------------------------------


def test_what_only_root_can_make_is_kept_for_an_ordinary_user_too(
    pybuild: Pybuild, as_user: Pybuild, fake: FakeRegistry
) -> None:
    """Devices, setuid programs, capabilities, owners, names that differ by case and that come twice."""
    image = Image(fake)
    image.layer(tar(directory("bin"), member("bin/old", b"x")))
    image.layer(
        tar(
            directory("special"),
            member("special/null", kind=tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
            member("special/disk", kind=tarfile.BLKTYPE, mode=0o660, devmajor=8, devminor=1, gid=6),
            member("special/pipe", kind=tarfile.FIFOTYPE, mode=0o622),
            member("special/su", b"x", mode=0o4755),
            member("special/wall", b"x", mode=0o2755, gid=5),
            member("special/theirs", b"x", mode=0o600, uid=1000, gid=1001),
            member("special/SU", b"other"),
            member("special/twice", b"first"),
            member("special/twice", b"second"),
            member("/special/absolute", kind=tarfile.LNKTYPE, link="/special/su"),
            member("special/.wh.gone"),
            member("bin/.wh..wh..opq"),
            member("bin/busybox", BUSYBOX.read_bytes(), mode=0o755),
        )
    )
    image.manifest()
    found = []
    for program in (pybuild, as_user):
        name = f"{fake.address}/app:1"
        program("pull", "-q", name)
        # What a whiteout of nothing leaves in overlayfs's listings is passed over.
        copied = f"FROM {name}\nCOPY --from={name} /special /copy\n"
        program.build(copied, "-o", "type=tar,dest=tree.tar").ok()
        found.append(listing(program.work / "tree.tar"))
    assert found[0] == found[1]
    lines = {line.split()[0]: line for line in found[0]}
    assert "4755 0:0" in lines["special/su"]
    assert "2755 0:5" in lines["special/wall"]
    assert "600 1000:1001" in lines["special/theirs"]
    assert {"special/SU", "special/null", "special/disk", "special/pipe", "special/absolute"} <= lines.keys()
    assert ("copy/SU" in lines, "special/gone" in lines, "copy/gone" in lines) == (True, False, False)
    assert [path for path in lines if path.startswith("bin/")] == ["bin/busybox"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("../out", b"x")], "climbs out"),
        ([member(".wh...")], "a whiteout of nothing"),
        ([member("d/.wh..")], "a whiteout of nothing"),
        ([member("l", kind=tarfile.SYMTYPE, link="/"), member("l/tmp/out", b"x")], "leads out"),
        ([member("h", kind=tarfile.LNKTYPE, link="../../../etc/passwd")], "climbs out"),
        ([member("l", kind=tarfile.SYMTYPE, link="/"), member("h", kind=tarfile.LNKTYPE, link="l/etc/passwd")], "link"),
        ([member("d", kind=tarfile.CHRTYPE, devmajor=0, devminor=0)], "a device 0:0"),
    ],
    ids=["climbs", "whiteout of ..", "whiteout of .", "symlink", "hard link", "hard link by a symlink", "whiteout"],
)
def test_layers_that_are_traps(
    pybuild: Pybuild, fake: FakeRegistry, members: list[tuple[tarfile.TarInfo, bytes]], message: str
) -> None:
    image = small(fake)
    bad = image.layer(tar(*members))
    image.manifest()
    status, err = refused(pybuild, fake)
    assert (status, message in err, bad["digest"] in err) == (5, True, True), err
    assert not (pybuild.root / "blobs" / "sha256" / bad["digest"].removeprefix("sha256:")).exists()
