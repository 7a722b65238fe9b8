"""Base images from registries: what arrives, and what a registry can do wrong."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.errors import RegistryError
from builder.image.descriptor import Descriptor
from builder.image.manifest import Index, IndexEntry
from builder.image.mediatypes import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from builder.image.platform import Platform, host
from builder.snapshots.receive import Wanted, receive
from builder.store.open import Store
from builder.workers.local import LocalWorker
from tests.support.program import Pybuild
from tests.support.registry import FakeRegistry, Page, Registry

TEXT = """FROM base
RUN echo one > /one && ln /one /twin && rm -r /home
COPY noise /noise
ENV A=1
USER 12:34
CMD ["cat", "/one"]
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """A store with an image `app` of three layers, which registries are filled from."""
    directory = tmp_path_factory.mktemp("source")
    pybuild = Pybuild(directory / "store", directory)
    pybuild.base()
    # Bytes that no compression makes small: a cut in the middle of them is one in the middle of the layer.
    pybuild.file("noise", os.urandom(300_000))
    pybuild.build(TEXT, "-t", "app").ok()
    return pybuild


@pytest.fixture(scope="module")
def registry(source: Pybuild, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """docker-registry with `app:1`, zstd layers as they are in the store."""
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        registry.push(f"oci:{source.root}:app:latest", "app:1")
        yield registry


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def guarded() -> Iterator[FakeRegistry]:
    """One that wants a token."""
    with FakeRegistry(token="the-token") as fake:
        yield fake


@pytest.fixture(scope="module")
def layout(source: Pybuild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`app` as an OCI layout directory."""
    path = tmp_path_factory.mktemp("layout") / "app"
    source.build("FROM app\n", "-o", f"type=oci,tar=false,dest={path}").ok()
    return path


def layers_of(layout: Path) -> list[str]:
    """The digests of the layers of a layout's one image."""
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_text())
    return [layer["digest"] for layer in manifest["layers"]]


def inspected(pybuild: Pybuild, image: str) -> dict[str, object]:
    return dict(json.loads(pybuild("inspect", image))[0])


def error(pybuild: Pybuild, reference: str) -> tuple[int, str]:
    """The status and the error of a build on `reference`; nothing half fetched is left, and no image."""
    built = pybuild.build(f"FROM {reference}\nRUN echo made\n", "-t", "made")
    assert pybuild("images", "-q") == ""
    assert not list((pybuild.root / "tmp").iterdir())
    for blob in (pybuild.root / "blobs" / "sha256").iterdir():
        assert Digest.of(blob.read_bytes()).hex == blob.name
    return built.status, built.err


# --- a real registry -----------------------------------------------------------------------------


def test_a_base_is_pulled_once(source: Pybuild, pybuild: Pybuild, tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    with Registry(tmp_path / "registry") as registry:
        registry.push(f"oci:{source.root}:app:latest", "some/where/app:1")
        name = f"{registry.address}/some/where/app:1"
        pybuild.build(f"FROM {name}\nUSER 0\nRUN cat /one /twin > /both\n", "-t", "made").ok()
        assert pybuild.shell("made", "cat /both; ls -d /home || echo no home") == "one\none\nno home\n"
        assert inspected(pybuild, name)["Id"] == inspected(source, "app")["Id"]
        assert inspected(pybuild, name)["RepoTags"] == [name]
    # The registry has gone: all that is needed is here.
    again = pybuild.build(f"FROM {name}\nUSER 0\nRUN cat /one /twin > /both\nRUN echo more\n").ok()
    assert again.ran == ["RUN echo more"]


def test_a_newer_base_is_found_when_asked_for(
    source: Pybuild, pybuild: Pybuild, layout: Path, fake: FakeRegistry, tmp_path: Path
) -> None:
    newer = tmp_path / "newer"
    source.build("FROM app\nUSER 0\nRUN echo two > /one\n", "-o", f"type=oci,tar=false,dest={newer}").ok()
    fake.serve(layout, "app", "1")
    text = f"FROM {fake.address}/app:1\nUSER 0\nRUN cat /one > /seen\n"
    pybuild.build(text, "-t", "made", "--pull").ok()
    fake.asked.clear()
    assert pybuild.build(text, "--pull").ok().ran == []
    assert [asked.path for asked in fake.asked] == ["/v2/app/manifests/1"]
    fake.serve(newer, "app", "1")
    for options in ((), ("--pull=missing",), ("--pull=false",), ("--pull=never",)):
        assert pybuild.build(text, *options).ok().ran == []
    assert len(fake.asked) == 1
    assert pybuild.build(text, "--pull", "-t", "made").ok().ran == ["RUN cat /one > /seen"]
    assert pybuild.shell("made", "cat /seen") == "two\n"
    fake.asked.clear()
    digest = Digest.of(fake.pages["/v2/app/manifests/1"].body)
    assert pybuild.build(text.replace("app:1", f"app@{digest}"), "--pull").ok().ran == []
    assert fake.asked == []


def test_a_base_no_registry_has_is_taken_from_the_store_only_when_that_will_do(
    pybuild: Pybuild, fake: FakeRegistry
) -> None:
    name = f"{fake.address}/mine:1"
    pybuild.base(name)
    text = f"FROM {name}\nRUN true\n"
    refused = pybuild.build(text, "--pull")
    assert (refused.status, "--pull=newer takes" in refused.err) == (4, True), refused.err
    assert "is taken from the store as it is" in pybuild.build(text, "--pull=newer").ok().err
    absent = pybuild.build(f"FROM {fake.address}/other\n", "--pull=never")
    assert (absent.status, "is not in the store" in absent.err) == (4, True), absent.err


# Docker's media types (distribution, manifest-v2-2.md) for OCI's.
DOCKERS = {
    "application/vnd.oci.image.manifest.v1+json": "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.config.v1+json": "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.layer.v1.tar": "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}


@pytest.mark.parametrize(
    ("manifest", "compression", "suffix"),
    [
        ("oci", "gzip", ".tar+gzip"),
        ("oci", "zstd", ".tar+zstd"),
        ("oci", "uncompressed", ".tar"),
        ("docker", "gzip", ".tar.gzip"),
        ("docker", "uncompressed", ".tar"),
    ],
)
def test_layers_and_manifests_of_every_kind(
    source: Pybuild, registry: Registry, pybuild: Pybuild, manifest: str, compression: str, suffix: str
) -> None:
    archive = pybuild.work / "app.tar"
    source("save", "--format", "oci", "--compression", compression, "-o", str(archive), "app")
    registry.push(f"oci-archive:{archive}", f"kinds:{compression}", "--preserve-digests")
    pushed = json.loads(registry.manifest(f"kinds:{compression}"))
    if manifest == "docker":
        for part in (pushed, pushed["config"], *pushed["layers"]):
            part["mediaType"] = DOCKERS[part["mediaType"]]
    assert all(layer["mediaType"].endswith(suffix) for layer in pushed["layers"])
    name = f"kinds:{manifest}-{compression}"
    registry.put_manifest("kinds", f"{manifest}-{compression}", json.dumps(pushed).encode(), pushed["mediaType"])
    assert pybuild("run", "--rm", f"{registry.address}/{name}") == "one\n"
    ours, theirs = inspected(pybuild, f"{registry.address}/{name}"), inspected(source, "app")
    assert (ours["Id"], ours["RootFS"], ours["Config"]) == (theirs["Id"], theirs["RootFS"], theirs["Config"])
    assert ours["MediaType"] == pushed["mediaType"]
    pybuild.build(f"FROM {registry.address}/{name}\nUSER 0\nRUN rm /one\n", "-t", "child").ok()
    subprocess.run(["skopeo", "inspect", f"oci:{pybuild.root}:child:latest"], check=True, capture_output=True)


def test_a_base_by_digest(registry: Registry, pybuild: Pybuild) -> None:
    digest = Digest.of(registry.manifest("app:1"))
    pybuild.build(f"FROM {registry.address}/app@{digest}\nUSER 0\nRUN cat /one > /out\n", "-t", "made").ok()
    assert pybuild.shell("made", "cat /out") == "one\n"
    pinned = inspected(pybuild, f"{registry.address}/app@{digest}")
    assert (pinned["Digest"], pinned["RepoTags"]) == (str(digest), [])
    assert pybuild.build(f"FROM {registry.address}/app@{digest}\nUSER 0\nRUN cat /one > /out\n").ok().ran == []
    none = Digest.of(b"none")
    status, err = error(Pybuild(pybuild.work / "empty", pybuild.work), f"{registry.address}/app@{none}")
    assert (status, f"has no manifest {none} in app" in err) == (4, True)


def test_the_platform_is_chosen_from_an_index(registry: Registry, pybuild: Pybuild) -> None:
    entries = []
    platforms = (Platform("linux", "s390x"), Platform("linux", "arm64"), host(), Platform("linux", "arm", "v6"))
    for platform in dict.fromkeys(platforms):
        pybuild.file("which", str(platform))
        tag = platform.architecture
        pybuild.build("FROM scratch\nCOPY which /\n", "--platform", str(platform), "-t", f"many:{tag}").ok()
        registry.push(f"oci:{pybuild.root}:many:{tag}", f"many:{tag}")
        data = registry.manifest(f"many:{tag}")
        entries.append(IndexEntry(Descriptor(OCI_MANIFEST, Digest.of(data), len(data)), platform))
    registry.put_manifest("many", "all", Index(tuple(entries)).to_json(), OCI_INDEX)

    def which(store: str, *options: str) -> str:
        other = Pybuild(pybuild.work / store, pybuild.work)
        copied = f"FROM scratch\nCOPY --from={registry.address}/many:all /which /\n"
        other.build(copied, "-o", f"type=local,dest={store}-out", *options).ok()
        return (pybuild.work / f"{store}-out" / "which").read_text()

    assert which("own") == str(host())
    assert which("s390x", "--platform", "linux/s390x") == "linux/s390x"
    assert which("arm", "--platform", "linux/arm/v6") == "linux/arm/v6"
    other = Pybuild(pybuild.work / "other", pybuild.work)
    refused = other.build(f"FROM {registry.address}/many:all\nCMD x\n", "--platform", "linux/riscv64")
    assert refused.status == 4
    assert "not made for linux/riscv64" in refused.err
    assert "linux/s390x" in refused.err


def test_an_image_to_run_is_pulled(registry: Registry, pybuild: Pybuild) -> None:
    assert pybuild("run", "--rm", f"{registry.address}/app:1") == "one\n"
    missing = pybuild.try_("run", "--rm", f"{registry.address}/app:2")
    assert (missing.returncode, "has no manifest 2 in app" in missing.stderr) == (125, True)


def test_a_missing_tag_and_a_missing_name(registry: Registry, pybuild: Pybuild) -> None:
    for name, tag in (("app", "nine"), ("other", "latest")):
        status, err = error(pybuild, f"{registry.address}/{name}:{tag}")
        assert status == 4, err
        missing = f"{registry.address} has no manifest {tag} in {name}"
        assert f"error: {registry.address}/{name}:{tag} is not in the store, and {missing}\n" in err
        assert "--> Buildfile:1:6" in err


def test_a_registry_that_is_not_there(pybuild: Pybuild) -> None:
    with FakeRegistry() as gone:
        address = gone.address
    status, err = error(pybuild, f"{address}/app")
    assert status == 8, err
    assert f"{address} cannot be reached: " in err
    assert "Connection refused" in err
    assert "--> Buildfile:1:6" in err


@pytest.mark.parametrize("damage", ["cut off", "changed", "empty", "lengthened", "of another kind"])
def test_a_damaged_layer_is_refused(source: Pybuild, registry: Registry, pybuild: Pybuild, damage: str) -> None:
    manifest = json.loads(registry.manifest("app:1"))
    blob = registry.blob(manifest["layers"][-1]["digest"])
    whole = blob.read_bytes()
    middle = len(whole) // 2
    bad = {
        "cut off": whole[:middle],
        "changed": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "empty": b"",
        "lengthened": whole + b"more",
        "of another kind": b"\0" * len(whole),
    }[damage]
    blob.write_bytes(bad)
    try:
        status, err = error(pybuild, f"{registry.address}/app:1")
        assert status == 5, err
        assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
        assert not (pybuild.root / "blobs" / "sha256" / blob.parent.name).exists()
    finally:
        blob.write_bytes(whole)
    assert pybuild("run", "--rm", f"{registry.address}/app:1") == "one\n"


@pytest.mark.parametrize("part", ["config", "manifest"])
def test_a_damaged_config_or_manifest_is_refused(registry: Registry, pybuild: Pybuild, part: str) -> None:
    data = registry.manifest("app:1")
    digest = Digest.of(data)
    blob = registry.blob(json.loads(data)["config"]["digest"] if part == "config" else str(digest))
    whole = blob.read_bytes()
    blob.write_bytes(whole.replace(b"amd64", b"arm64") if part == "config" else whole.replace(b"sha256", b"sha512", 1))
    try:
        # By digest: what a tag names is the registry's own say.
        status, err = error(pybuild, f"{registry.address}/app@{digest}")
        assert status == 5, err
    finally:
        blob.write_bytes(whole)
    assert pybuild("run", "--rm", f"{registry.address}/app@{digest}") == "one\n"


# --- what a registry can say ---------------------------------------------------------------------


def test_what_is_here_is_not_fetched_again(fake: FakeRegistry, layout: Path, pybuild: Pybuild) -> None:
    fake.serve(layout, "app", "1")
    fake.serve(layout, "same", "1")
    pybuild.build(f"FROM {fake.address}/app:1\nCMD x\n").ok()
    asked = [a.path for a in fake.asked if "/blobs/" in a.path]
    assert sorted(asked[1:]) == sorted(f"/v2/app/blobs/{digest}" for digest in layers_of(layout))
    fake.asked.clear()
    pybuild.build(f"FROM {fake.address}/app:1\nCMD y\n").ok()
    assert fake.asked == []
    pybuild.build(f"FROM {fake.address}/same:1\nCMD y\n").ok()
    assert not [a for a in fake.asked if a.path.split("/")[-1] in layers_of(layout)]


def test_a_token_is_fetched_and_shown(guarded: FakeRegistry, layout: Path, pybuild: Pybuild) -> None:
    guarded.serve(layout, "app", "1")
    assert pybuild("run", "--rm", f"{guarded.address}/app:1") == "one\n"
    first, token, *rest = guarded.asked
    assert (first.path, first.authorization) == ("/v2/app/manifests/1", None)
    assert (token.path, token.authorization) == ("/token?service=fake&scope=repository%3Aapp%3Apull", None)
    assert {a.authorization for a in rest} == {"Bearer the-token"}
    assert rest[0].path == "/v2/app/manifests/1"
    assert len(rest) == 2 + len(layers_of(layout))


def test_a_token_is_not_shown_to_another_host(guarded: FakeRegistry, layout: Path, pybuild: Pybuild) -> None:
    """Blobs lie elsewhere: another port is another host."""
    guarded.serve(layout, "app", "1")
    with FakeRegistry() as elsewhere:
        for path, page in list(guarded.pages.items()):
            if "/blobs/" in path:
                elsewhere.pages[f"/elsewhere{path}"] = page
                guarded.pages[path] = Page(
                    status=307, headers={"Location": f"http://{elsewhere.address}/elsewhere{path}"}
                )
        assert pybuild("run", "--rm", f"{guarded.address}/app:1") == "one\n"
        assert len(elsewhere.asked) == 1 + len(layers_of(layout))
        assert {a.authorization for a in elsewhere.asked} == {None}
    assert "Bearer the-token" in {a.authorization for a in guarded.asked}


def test_a_redirect_on_the_same_host_keeps_the_token(guarded: FakeRegistry, layout: Path, pybuild: Pybuild) -> None:
    guarded.serve(layout, "app", "1")
    for path in [p for p in guarded.pages if "/blobs/" in p]:
        guarded.pages[f"/moved{path}"] = guarded.pages[path]
        guarded.pages[path] = Page(status=302, headers={"Location": f"/moved{path}"})
    assert pybuild("run", "--rm", f"{guarded.address}/app:1") == "one\n"
    assert {a.authorization for a in guarded.asked if a.path.startswith("/moved")} == {"Bearer the-token"}


@pytest.mark.parametrize(
    ("challenge", "token_page", "message"),
    [
        ('Basic realm="private"', None, "asks for a login"),
        ("", None, "asks for a login"),
        ('Bearer realm="file:///etc/passwd"', None, "asks for a login"),
        (None, Page(b"{}", 403), "gives no token to strangers (status 403)"),
        (None, Page(b"not JSON"), "gave a token that cannot be read"),
        (None, Page(b'{"token"', missing=9), "broke off"),
        (None, Page(b'{"token": ""}'), "gave no token"),
        (None, Page(b'{"token": "a\\r\\nX-Injected: b"}'), "gave no token"),
        (None, Page(b'{"access_token": "another"}'), "refuses manifest 1 (status 401)"),
    ],
)
def test_a_login_that_fails(
    guarded: FakeRegistry, pybuild: Pybuild, challenge: str | None, token_page: Page | None, message: str
) -> None:
    guarded.challenge = guarded.challenge if challenge is None else challenge
    guarded.token_page = token_page or guarded.token_page
    status, err = error(pybuild, f"{guarded.address}/app:1")
    assert (status, message in err) == (8, True), err


@pytest.mark.parametrize(
    ("manifest", "status", "message"),
    [
        (Page(b"<html>", headers={"Content-Type": "text/html"}), 5, "not an image manifest"),
        (Page(b"{}"), 5, "neither an image manifest nor an index"),
        (Page(b'{"schemaVersion":1,"fsLayers":[]}'), 5, "schema 1"),
        (Page(b'{"schemaVersion":2,"manifests":[]}'), 4, "not made for"),
        (Page(b'{"schemaVersion":2,"config":{"digest":"sha256:../../x","size":1},"layers":[]}'), 5, "digest"),
        (Page(b" " * ((4 << 20) + 1)), 5, "more than 4194304 are not read"),
        (Page(b"short", missing=100), 8, "broke off"),
        (Page(status=403), 8, "refuses manifest 1 (status 403)"),
        (Page(status=418), 8, "answered 418"),
        (Page(status=307, headers={"Location": "/v2/app/manifests/1"}), 8, "redirect"),
    ],
    ids=["html", "nothing", "schema 1", "empty index", "bad digest", "large", "cut", "403", "418", "loop"],
)
def test_a_manifest_that_is_none(
    fake: FakeRegistry, pybuild: Pybuild, manifest: Page, status: int, message: str
) -> None:
    fake.pages["/v2/app/manifests/1"] = manifest
    got, err = error(pybuild, f"{fake.address}/app:1")
    assert (got, message in err) == (status, True), err


def test_a_layer_that_breaks_off(fake: FakeRegistry, layout: Path, pybuild: Pybuild) -> None:
    """The connection ends too early: the registry's fault, not the image's. What came before it is not lost."""
    fake.serve(layout, "app", "1")
    page = fake.pages[f"/v2/app/blobs/{layers_of(layout)[-1]}"]
    whole = page.body
    page.body, page.missing = whole[:1000], len(whole) - 1000
    status, err = error(pybuild, f"{fake.address}/app:1")
    assert (status, "broke off" in err) == (8, True), err
    page.body, page.missing = whole, 0
    fake.asked.clear()
    here = {f"/v2/app/blobs/sha256:{blob.name}" for blob in (pybuild.root / "blobs" / "sha256").iterdir()}
    assert pybuild("run", "--rm", f"{fake.address}/app:1") == "one\n"
    assert not here & {a.path for a in fake.asked}


class Failing:
    """A layer whose reading fails after a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def read(self, size: int = -1) -> bytes:
        time.sleep(self._seconds)
        raise RegistryError("broke off")


def test_a_layer_that_breaks_off_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    """Whatever the other side of the pipe is just doing when it is told to give up."""
    store = Store.open(tmp_path / "store")
    worker = LocalWorker(store.root)
    blob = Descriptor(OCI_LAYER_GZIP, Digest.of(b""), 0)
    moments = random.Random(1)
    try:
        for _ in range(100):
            with pytest.raises(RegistryError):
                receive(worker.launcher, store.root, Failing(moments.random() * 0.008), Wanted(blob))
            assert not list((store.root / "tmp").iterdir())
    finally:
        worker.close()
        store.close()


def test_a_blob_that_is_missing(fake: FakeRegistry, layout: Path, pybuild: Pybuild) -> None:
    fake.serve(layout, "app", "1")
    digest = layers_of(layout)[-1]
    del fake.pages[f"/v2/app/blobs/{digest}"]
    status, err = error(pybuild, f"{fake.address}/app:1")
    assert (status, f"has no blob {digest} in app" in err) == (4, True), err


def test_a_registry_that_stumbles_is_asked_again(fake: FakeRegistry, layout: Path, pybuild: Pybuild) -> None:
    fake.serve(layout, "app", "1")
    path = "/v2/app/manifests/1"
    fake.pages[path], whole = Page(status=503, headers={"Retry-After": "0"}), fake.pages[path]
    status, err = error(pybuild, f"{fake.address}/app:1")
    assert (status, "answered 503" in err) == (8, True), err
    assert len(fake.asked) == 4
    fake.pages[path] = whole
    assert pybuild("run", "--rm", f"{fake.address}/app:1") == "one\n"


def test_a_plan_reads_the_config_of_a_base_and_pulls_nothing(registry: Registry, pybuild: Pybuild) -> None:
    name = f"{registry.address}/app:1"
    pybuild.file("Buildfile", f"FROM {name}\nRUN cat /one\nFROM scratch\nCOPY --from=0 /one /\n")
    steps = json.loads(pybuild("plan", "--json", "."))["steps"]
    assert [step["fate"] for step in steps] == ["pull", "depends", "depends"]
    assert steps[1]["needs"] == [f"FROM {name}"]
    assert f"FROM {name}\n    will be pulled\n" in pybuild("plan", ".")
    assert not list((pybuild.root / "blobs" / "sha256").iterdir())
    assert pybuild("images", "-q") == ""
    pybuild("build", "-q", ".")
    assert [step["fate"] for step in json.loads(pybuild("plan", "--json", "--pull", "."))["steps"]] == ["cached"] * 3
    assert "DONE" in pybuild.try_("build", "--progress", "plain", "--no-cache", ".").stderr
