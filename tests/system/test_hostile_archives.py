"""Archives that lie: an error that says what is wrong, in bounded time and memory, and a store as it was."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from builder.api.images import load
from builder.api.session import Session
from builder.errors import BadInputError
from tests.support.program import Pybuild
from tests.support.rootfs import directory, member, tar

LAYER = tar(member("file", b"content"))
PREFIX = "application/vnd.oci.image"
Member = tuple[tarfile.TarInfo, bytes]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def described(data: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": f"{PREFIX}.{kind}", "digest": f"sha256:{sha(data)}", "size": len(data)}


CONFIG = json.dumps(
    {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha(LAYER)}"]}}
).encode()
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": f"{PREFIX}.manifest.v1+json",
        "config": described(CONFIG, "config.v1+json"),
        "layers": [described(LAYER, "layer.v1.tar")],
    }
).encode()


def index(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


def oci(**changed: bytes | None) -> dict[str, bytes]:
    """The files of a good layout, some changed (their names shortened) or left out."""
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": index(described(MANIFEST, "manifest.v1+json")),
        f"blobs/sha256/{sha(MANIFEST)}": MANIFEST,
        f"blobs/sha256/{sha(CONFIG)}": CONFIG,
        f"blobs/sha256/{sha(LAYER)}": LAYER,
    }
    names = {"manifest": sha(MANIFEST), "config": sha(CONFIG), "layer": sha(LAYER)}
    for key, data in changed.items():
        name = f"blobs/sha256/{names[key]}" if key in names else key.replace("_", ".")
        files.pop(name, None)
        if data is not None:
            files[name] = data
    return files


def docker(saved: object, **more: bytes) -> dict[str, bytes]:
    data = saved if isinstance(saved, bytes) else json.dumps(saved).encode()
    return {"manifest.json": data, "config.json": CONFIG, "layer.tar": LAYER, **more}


def archive(files: dict[str, bytes]) -> bytes:
    return tar(*(member(name, data) for name, data in files.items()))


ONE = {"Config": "config.json", "Layers": ["layer.tar"], "RepoTags": ["evil:1"]}
GROWN = LAYER + bytes(10240)
HUGE = 5 << 20

LIES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not an image archive"),
    "no tar": (b"nonsense" * 200, "not an image archive"),
    "no image": (archive({"file": b"x"}), "neither index.json nor manifest.json"),
    "a climbing name": (tar(member("../evil", b"x")), "climbs out of its root"),
    "a strange entry": (tar(member("x", kind=b"Z")), "type b'Z'"),
    "index of nothing": (archive(oci(index_json=b"{}")), "neither an image manifest nor an index"),
    "index that is a list": (archive(oci(index_json=b"[]")), "not an image manifest"),
    "index nested in text": (archive(oci(index_json=b"[" * 100_000)), "not an image manifest"),
    "huge index": (archive(oci(index_json=b" " * HUGE)), "missing, empty or too large"),
    "a blob that is not there": (archive(oci(layer=None)), "lacks blob"),
    "a manifest that is not there": (archive(oci(manifest=None)), "lacks blob"),
    "a wrong layer": (archive(oci(layer=LAYER.replace(b"content", b"changed"))), "damaged"),
    "a wrong config": (archive(oci(config=CONFIG.replace(b"amd64", b"arm64"))), "damaged"),
    "a longer layer": (archive(oci(layer=GROWN)), "longer than"),
    "a shorter config": (archive(oci(config=CONFIG[:-1])), "bytes"),
    "a climbing digest": (
        archive(oci(index_json=index({**described(MANIFEST, "manifest.v1+json"), "digest": "sha256:../../x"}))),
        "not a usable digest",
    ),
    "a size below nothing": (
        archive(oci(index_json=index({**described(MANIFEST, "manifest.v1+json"), "size": -1}))),
        "-1 bytes",
    ),
    "a size of 4 billion": (
        archive(oci(index_json=index({**described(MANIFEST, "manifest.v1+json"), "size": 4_000_000_000}))),
        "more than",
    ),
    "manifest.json that is no list": (archive(docker({})), "manifest.json of the archive cannot be read"),
    "manifest.json that is no JSON": (archive(docker(b"[{")), "manifest.json of the archive cannot be read"),
    "huge manifest.json": (archive(docker(b" " * HUGE)), "missing, empty or too large"),
    "layers that are not there": (archive(docker([{**ONE, "Layers": ["gone"]}])), "lacks layer 'gone'"),
    "a layer from outside": (archive(docker([{**ONE, "Layers": ["/etc/passwd"]}])), "lacks layer"),
    "a layer that climbs": (archive(docker([{**ONE, "Layers": ["../../etc/passwd"]}])), "lacks layer"),
    "a config that is not there": (archive(docker([{**ONE, "Config": "gone"}])), "gone of the archive is missing"),
    "too many layers": (archive(docker([{**ONE, "Layers": ["layer.tar"] * 2}])), "2 layers where its config"),
    "no layers": (archive(docker([{**ONE, "Layers": []}])), "0 layers where its config"),
    "a name that is none": (archive(docker([{**ONE, "RepoTags": ["UPPER/../x:1"]}])), "name that is none"),
    "another layer": (archive(docker([ONE], **{"layer.tar": tar(member("other", b"x"))})), "the image's config names"),
    "an old archive": (archive({"repositories": b"{}"}), "before 1.10"),
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    path = tmp_path_factory.mktemp("hostile")
    (path / "work").mkdir()
    return Pybuild(path / "store", path / "work")


def refused(store: Pybuild, data: bytes, message: str, *arguments: str) -> None:
    done = store.try_("load", *arguments, input=data)
    assert (done.returncode, message in done.stderr) == (5, True), done.stderr
    assert done.stderr.count("error: ") == 1
    assert store("images", "-q") == ""
    assert not list((store.root / "tmp").iterdir())


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session(tmp_path_factory.mktemp("lies") / "store") as session:
        yield session


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_told_of(session: Session, tmp_path: Path, lie: str) -> None:
    data, message = LIES[lie]
    (tmp_path / "lie.tar").write_bytes(data)
    with pytest.raises(BadInputError) as caught:
        load(session, str(tmp_path / "lie.tar"))
    assert message in caught.value.message
    assert not session.store.images.all()
    assert not list((session.store.root / "tmp").iterdir())


def test_the_truth_is_taken(tmp_path: Path) -> None:
    for number, files in enumerate((oci(), docker([ONE]), docker([{**ONE, "Layers": ["./layer.tar"]}]))):
        store = Pybuild(tmp_path / str(number), tmp_path)
        store("load", input=archive(files))
        assert store("images", "-q").strip()


def links(*members: Member) -> bytes:
    return tar(member("manifest.json", json.dumps([ONE]).encode()), member("config.json", CONFIG), *members)


def test_links_stay_in_the_archive(store: Pybuild, tmp_path: Path) -> None:
    """Old docker archives have layers as links to each other; what leads out, in circles or to nothing is refused."""
    (tmp_path / "secret").write_bytes(LAYER)
    for target in (f"{tmp_path}/secret", "../" * 9 + f"{tmp_path}/secret".lstrip("/"), "gone", "layer.tar"):
        lie = member("layer.tar", kind=tarfile.SYMTYPE, link=target)
        refused(store, links(lie), "layer.tar of the archive is a link that leads nowhere")
    refused(store, links(directory("layer.tar")), "layer.tar of the archive is no file")
    refused(store, links(member("layer.tar", kind=tarfile.FIFOTYPE)), "layer.tar of the archive is no file")
    other = Pybuild(tmp_path / "store", tmp_path)
    kept = member("deep/er/layer.tar", LAYER)
    link = member("layer.tar", kind=tarfile.SYMTYPE, link="deep/../deep/er/layer.tar")
    assert other("load", input=links(kept, link)) == "Loaded image: evil:1\n"


def test_of_two_files_of_one_name_the_digest_tells(store: Pybuild) -> None:
    good = [member(name, data) for name, data in oci().items()]
    bad = member(f"blobs/sha256/{sha(LAYER)}", tar(member("evil", b"x")))
    refused(store, tar(*good, bad), "is damaged: its content hashes to")


def test_cut_anywhere(store: Pybuild) -> None:
    for whole in (archive(oci()), archive(docker([ONE]))):
        for at in (100, 1024, whole.rindex(b"content") + 3):
            done = store.try_("load", input=whole[:at])
            assert done.returncode == 5, done.stderr
    assert store("images", "-q") == ""


def test_the_second_image_does_not_spoil_the_first(tmp_path: Path) -> None:
    store = Pybuild(tmp_path / "store", tmp_path)
    gone = {**ONE, "Config": "gone", "RepoTags": ["gone:1"]}
    done = store.try_("load", input=archive(docker([ONE, gone])))
    assert (done.returncode, "gone of the archive is missing" in done.stderr) == (5, True)
    assert store("images").count("evil") == 1
    assert "gone" not in store("images")


def test_bombs(store: Pybuild) -> None:
    """Little that unpacks to much, and files that say they are large: no disk is filled, no memory taken."""
    zeros = zstandard.compress(bytes(150_000_000))
    config = store.work / "config"
    (config / "pybuild").mkdir(parents=True, exist_ok=True)
    (config / "pybuild/config.toml").write_text('[images]\nunpacked-bytes = "100 MB"\n')
    done = store.try_("load", input=zeros, XDG_CONFIG_HOME=str(config))
    assert (done.returncode, "unpack to more than" in done.stderr) == (5, True), done.stderr
    assert not list((store.root / "tmp").iterdir())


def test_what_is_said_to_be_large_costs_nothing(store: Pybuild, tmp_path: Path) -> None:
    """A sparse file of 100 GB, an extended header of 1 GB, a million entries."""
    info, _ = member("index.json")
    info.size = 100 << 30
    sparse = tmp_path / "sparse.tar"
    with sparse.open("wb") as file:
        file.write(info.tobuf())
        file.write(member("oci-layout")[0].tobuf())
        file.truncate(100 << 30)
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    for data, message in (
        (header.tobuf() + bytes(4096), "extended header"),
        (b"".join(tarfile.TarInfo(str(n)).tobuf() for n in range(100_001)), "more than 100000 files"),
    ):
        done = limited(store, "load", input=data)
        assert (done.returncode, message in done.stderr.decode()) == (5, True), done.stderr
    done = limited(store, "load", "-i", str(sparse))
    assert done.returncode == 5, done.stderr
    # The blob of a manifest that is 100 GB longer than it must be.
    with sparse.open("wb") as file:
        for name, data in [*oci(manifest=None).items(), (f"blobs/sha256/{sha(MANIFEST)}", MANIFEST)]:
            info, _ = member(name)
            info.size = 100 << 30 if data is MANIFEST else len(data)
            file.write(info.tobuf() + data + bytes(-len(data) % 512))
        file.truncate(101 << 30)
    done = limited(store, "load", "-i", str(sparse))
    assert (done.returncode, b"is longer than" in done.stderr) == (5, True), done.stderr


def limited(store: Pybuild, *arguments: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run it with 600 MB of address space."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))

    return subprocess.run(
        store.command(*arguments), input=input, capture_output=True, check=False, preexec_fn=limit, timeout=60
    )


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_a_directory_with_something_else_in_the_place_of_a_blob(store: Pybuild, tmp_path: Path, kind: str) -> None:
    for name, data in oci().items():
        path = tmp_path / "layout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    blob = tmp_path / "layout/blobs/sha256" / sha(LAYER)
    blob.rename(tmp_path / "outside")
    if kind == "link":
        blob.symlink_to(tmp_path / "outside")
    elif kind == "fifo":
        os.mkfifo(blob)
    else:
        blob.mkdir()
    done = store.try_("load", "-i", str(tmp_path / "layout"))
    assert (done.returncode, f"sha256:{sha(LAYER)}" in done.stderr) == (5, True), done.stderr
    assert store("images", "-q") == ""
