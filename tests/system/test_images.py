"""Images of the store: taken in, shown, named, written out, removed."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import zstandard

from builder.store.memo import PLACES
from builder.store.open import Store
from tests.support.program import PROGRAM, Pybuild
from tests.support.rootfs import busybox_rootfs, member, tar


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    return pybuild


def rows(pybuild: Pybuild, *command: str) -> list[dict[str, Any]]:
    return list(json.loads(pybuild(*command, "--format", "json")))


def names(pybuild: Pybuild) -> list[str]:
    return sorted(f"{row['repository']}:{row['tag']}" for row in rows(pybuild, "images"))


def inspected(pybuild: Pybuild, image: str) -> dict[str, Any]:
    return dict(json.loads(pybuild("inspect", image))[0])


def blobs(pybuild: Pybuild) -> set[str]:
    return {path.name for path in (pybuild.root / "blobs" / "sha256").iterdir()}


def small(pybuild: Pybuild, name: str, content: str) -> str:
    """An image of one file, imported, so that no cache record holds its layer; its ID."""
    return pybuild("import", "-", name, input=tar(member("file", content.encode()))).strip()


# --- shown ---------------------------------------------------------------------------------------


def test_images_are_listed(based: Pybuild) -> None:
    based.build("FROM base\nRUN echo 1 > /new\n", "-t", "app:v1", "-t", "localhost:5000/team/app").ok()
    based.build("FROM base\nCMD nameless\n").ok()
    identifier = inspected(based, "app:v1")["Id"]
    found = rows(based, "images")
    assert [set(row) for row in found] == [{"repository", "tag", "id", "created", "size"}] * 4
    assert names(based) == ["<none>:<none>", "app:v1", "base:latest", "localhost:5000/team/app:latest"]
    assert {row["id"] for row in found if "app" in row["repository"]} == {identifier}
    assert json.loads(based("images", "--json")) == found
    head, *lines = based("images").splitlines()
    assert head.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    (line,) = [line for line in lines if line.startswith("app ")]
    short = identifier.removeprefix("sha256:")[:12]
    assert re.fullmatch(rf"app +v1 +{short} +(Less than a second|\d+ seconds?) ago +[\d.]+[kM]?B", line)
    assert identifier in based("images", "--no-trunc")
    assert based("images", "-q").split()[:2] == [rows(based, "images")[0]["id"][7:19], short]
    assert len(based("images", "-q").split()) == 3
    assert identifier in based("images", "-q", "--no-trunc").split()


def test_an_image_is_inspected_by_any_of_its_names(based: Pybuild) -> None:
    based.build("FROM base\nENV A=1\n", "-t", "app").ok()
    found = inspected(based, "app")
    identifier = found["Id"].removeprefix("sha256:")
    for name in ("app:latest", "docker.io/library/app", found["Id"], identifier, identifier[:12], identifier[:4],
                 f"app@{found['Digest']}"):  # fmt: skip
        assert inspected(based, name) == found, name
    assert found["RepoTags"] == ["app:latest"]
    assert (found["Os"], found["Size"]) == ("linux", inspected(based, "base")["Size"])
    assert found["RootFS"] == inspected(based, "base")["RootFS"]
    assert json.loads(based("inspect", "app", "base")) == [found, inspected(based, "base")]


def test_history(based: Pybuild) -> None:
    long = "echo " + "x" * 80
    based.build(f"FROM base\nRUN head -c 5000 /dev/zero > /big\nENV A=1\nRUN {long}\nCMD x\n", "-t", "app").ok()
    found = rows(based, "history", "app")
    assert [set(row) for row in found] == [{"created", "created_by", "size", "comment", "place"}] * 5
    assert [row["created_by"].split()[0] for row in found] == ["CMD", "RUN", "ENV", "RUN", "pybuild"]
    sizes = [row["size"] for row in found]
    assert sizes[0] == sizes[2] == 0
    assert 5000 < sizes[3] < 20_000
    assert sum(sizes) == inspected(based, "app")["Size"]
    assert json.loads(based("history", "--json", "app")) == found
    head, *lines = based("history", "app").splitlines()
    assert head.split() == ["CREATED", "CREATED", "BY", "SIZE", "LINE", "COMMENT"]
    assert "…" in lines[1]
    assert long in based("history", "--no-trunc", "app")


def places(pybuild: Pybuild, image: str) -> list[str]:
    return [row["place"] for row in rows(pybuild, "history", image)][::-1]


def test_history_knows_the_lines_of_what_was_built_here(based: Pybuild) -> None:
    based.build("FROM base\n\nRUN touch /one\nONBUILD RUN touch /two\n", "-t", "mid").ok()
    assert places(based, "mid") == ["", "Buildfile:3"]
    based.file("sub/Top", "# a word\nFROM mid AS x\nENV A=1\nFROM x\nWORKDIR /w\n")
    based("build", "-f", "sub/Top", "-t", "top", ".")
    own = ["sub/Top:2", "sub/Top:3", "sub/Top:5"]
    assert places(based, "top") == ["", "Buildfile:3", *own]
    # Lines that have moved are where they are now, though the image is the same.
    based.file("sub/Top", "FROM mid AS x\nENV A=1\n\nFROM x\nWORKDIR /w\n")
    based("build", "-f", "sub/Top", "-t", "top", ".")
    assert places(based, "top")[2:] == ["sub/Top:1", "sub/Top:2", "sub/Top:5"]
    based("rmi", "mid")
    based("cache", "prune", "--all", "--force")
    assert places(based, "top") == ["", "Buildfile:3", "sub/Top:1", "sub/Top:2", "sub/Top:5"]
    based("save", "top", "-o", "top.tar")
    assert places(based, "top") == places_elsewhere(based, "top.tar", "top", known=True)
    assert places_elsewhere(based.on(based.work / "other"), "top.tar", "top", known=False) == [""] * 5


def places_elsewhere(pybuild: Pybuild, archive: str, image: str, *, known: bool) -> list[str]:
    pybuild("load", archive)
    found = places(pybuild, image)
    assert any(found) is known
    return found


def test_history_of_merged_layers_has_lines(based: Pybuild) -> None:
    based.build("FROM base\nRUN touch /one\nRUN touch /two\n", "--squash", "-t", "app").ok()
    assert places(based, "app") == ["", "Buildfile:2", "Buildfile:3", ""]


def test_what_a_container_is_committed_to_keeps_the_lines_of_its_image(based: Pybuild) -> None:
    based.build("FROM base\nENV A=1\nCMD true\n", "-t", "app").ok()
    based("run", "--name", "c", "app")
    based("commit", "c", "more")
    assert places(based, "more") == ["", "Buildfile:2", "Buildfile:3", ""]


def test_lines_go_with_their_image(based: Pybuild) -> None:
    based.build("FROM base\nENV A=1\n", "-t", "app").ok()
    store = Store.open(based.root)
    assert len(store.memo.values(PLACES)) == 1
    based("rmi", "app")
    assert store.memo.values(PLACES) == []
    store.close()


def test_versions(pybuild: Pybuild) -> None:
    found = json.loads(pybuild("version", "--format", "json"))
    assert {"pybuild", "python", "kernel", "click", "lark", "zstandard"} <= set(found)
    assert found["kernel"] == os.uname().release
    first, second = pybuild("--version").splitlines()
    assert first == f"pybuild {found['pybuild']}"
    assert (
        dict(part.split(" ") for part in second.split(", ")).items()
        >= {
            "Python": found["python"],
            "click": metadata.version("click"),
            "cryptography": metadata.version("cryptography"),
        }.items()
    )
    assert pybuild("version", "-f", "{{.Client.Version}} {{.python}}") == f"{found['pybuild']} {found['python']}\n"
    assert [line.split() for line in pybuild("version").splitlines()] == [[k, v] for k, v in found.items()]


def test_the_cache_is_shown(based: Pybuild) -> None:
    based.build("FROM base\nRUN echo 1 > /one\n").ok()
    (row,) = rows(based, "cache", "ls")
    assert set(row) == {"key", "place", "stage", "step", "type", "size", "created", "last_used", "hits", "seconds"}
    assert (row["place"], row["step"], row["hits"]) == ("Buildfile:2", "[2/2] RUN echo 1 > /one", 0)
    based.build("FROM base\nRUN echo 1 > /one\n").ok()
    assert rows(based, "cache", "ls")[0]["hits"] == 1
    head, line = based("cache", "ls").splitlines()
    assert head.split() == ["KEY", "LINE", "STAGE", "STEP", "SIZE", "AGE", "LAST", "USED", "HITS", "COST"]
    assert line.startswith(f"{row['key'][:12]}   Buildfile:2   stage-0   [2/2] RUN echo 1 > /one ")
    usage = {r["kind"]: r for r in rows(based, "cache", "du")}
    assert [set(r) for r in usage.values()] == [{"kind", "count", "bytes", "shared", "unique"}] * len(usage)
    assert usage["blobs"]["count"] == len(blobs(based))
    assert usage["unpacked layers"]["count"] == 2
    assert usage["unpacked layers"]["bytes"] > 500_000
    assert based("cache", "du").splitlines()[-1].split()[0] == "total"


# --- named and removed ---------------------------------------------------------------------------


def test_a_name_is_given_and_moves(based: Pybuild) -> None:
    other = small(based, "other", "x")
    based("tag", "base", "other:v1")
    assert names(based) == ["base:latest", "other:latest", "other:v1"]
    assert inspected(based, "other:v1")["Id"] == inspected(based, "base")["Id"]
    based("tag", other.removeprefix("sha256:")[:12], "other:v1")
    assert inspected(based, "other:v1")["Id"] == other
    assert json.loads((based.root / "index.json").read_text())["manifests"][-1]["annotations"] == {
        "org.opencontainers.image.ref.name": "other:v1"
    }


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("base", "UPPER"), 2, "names are lower case: upper"),
        (("base", "a:b:c"), 2, "not an image reference"),
        (("base", "app@sha256:" + "0" * 64), 2, "a tag cannot be given by it"),
        (("nothing", "app"), 4, "no such image: nothing"),
    ],
)
def test_a_name_that_cannot_be_given(based: Pybuild, arguments: tuple[str, str], status: int, message: str) -> None:
    done = based.try_("tag", *arguments)
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert names(based) == ["base:latest"]


def test_names_go_one_by_one_and_the_image_with_the_last(pybuild: Pybuild) -> None:
    identifier = small(pybuild, "one", "x")
    pybuild("tag", "one", "two")
    by_id = pybuild.try_("rmi", identifier)
    assert (by_id.returncode, "has several names: one:latest, two:latest" in by_id.stderr) == (2, True)
    assert pybuild("rmi", "one") == "Untagged: one:latest\n"
    assert names(pybuild) == ["two:latest"]
    assert pybuild("rmi", "two") == f"Untagged: two:latest\nDeleted: {identifier}\n"
    assert pybuild("images", "-q") == ""
    assert blobs(pybuild) == set()
    assert not list((pybuild.root / "snapshots").iterdir())


def test_several_are_removed_and_by_force(pybuild: Pybuild) -> None:
    one, two = small(pybuild, "one", "1"), small(pybuild, "two", "2")
    pybuild("tag", "one", "again")
    assert pybuild("rmi", "-f", one[7:19], "two").splitlines() == [
        "Untagged: again:latest", "Untagged: one:latest", f"Deleted: {one}", "Untagged: two:latest", f"Deleted: {two}",
    ]  # fmt: skip
    assert blobs(pybuild) == set()


def test_a_missing_one_among_several(pybuild: Pybuild) -> None:
    one = small(pybuild, "one", "1")
    small(pybuild, "two", "2")
    done = pybuild.try_("rmi", "one", "missing", "two")
    assert done.returncode == 4
    assert "no such image: missing" in done.stderr
    assert done.stdout == f"Untagged: one:latest\nDeleted: {one}\n"
    assert names(pybuild) == ["two:latest"]


def test_shared_layers_stay_while_one_needs_them(based: Pybuild) -> None:
    before = blobs(based)
    based.build("FROM base\nCMD child\n", "-t", "child").ok()
    based("rmi", "base")
    assert based("run", "--rm", "child", "echo", "still there") == "still there\n"
    assert len(before & blobs(based)) == 1, "the layer alone is needed yet"
    based("rmi", "child")
    assert blobs(based) == set()


def test_an_image_of_a_container_is_kept(based: Pybuild) -> None:
    based("run", "--name", "one", "base", "true")
    refused = based.try_("rmi", "base")
    assert refused.returncode == 2
    assert "base is used by container one" in refused.stderr
    assert "hint: pybuild rm one" in refused.stderr
    based("tag", "base", "other")
    assert based("rmi", "other") == "Untagged: other:latest\n"
    based("rm", "one")
    assert "Deleted" in based("rmi", "base")
    assert not list((based.root / "snapshots").iterdir())


def test_an_image_removed_under_its_container(based: Pybuild) -> None:
    """By force; the container keeps its layers until it is removed itself."""
    based("run", "--name", "one", "base", "true")
    assert "Deleted" in based("rmi", "--force", "base")
    assert based("images", "-q") == ""
    assert len(list((based.root / "snapshots").iterdir())) == 1
    based("rm", "one")
    small(based, "other", "x")
    based("rmi", "other")
    assert not list((based.root / "snapshots").iterdir())
    assert blobs(based) == set()


# --- imported ------------------------------------------------------------------------------------

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip in parts": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]),
    "zstd in parts": lambda data: b"".join(map(zstandard.ZstdCompressor().compress, (data[:1000], data[1000:]))),
}


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_a_tar_is_imported_however_compressed(based: Pybuild, compression: str) -> None:
    packed = COMPRESSORS[compression](busybox_rootfs())
    based.file("rootfs", packed)
    identifier = based("import", "rootfs", "by-file").strip()
    based("import", "-", "by-pipe", input=packed)
    plain, by_file, by_pipe = json.loads(based("inspect", "base", "by-file", "by-pipe"))
    assert by_file["Id"] == identifier
    assert by_file["RootFS"] == by_pipe["RootFS"] == plain["RootFS"]


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "oldgnu", "v7"])
def test_every_form_of_tar(pybuild: Pybuild, form: str) -> None:
    top = pybuild.work / "tree"
    (top / "d").mkdir(parents=True)
    (top / "d" / "file").write_text("content")
    os.link(top / "d" / "file", top / "d" / "hard")
    (top / "soft").symlink_to("d/file")
    if form not in ("ustar", "v7"):  # these have 100 and 256 characters for a name
        (top / ("n" * 150)).write_text("long")
        (top / "link-to-long").symlink_to("t" * 150)
        (top / "ä").write_text("not ASCII")
    subprocess.run(["tar", f"--format={form}", "-C", top, "-cf", pybuild.work / "tree.tar", "."], check=True)
    pybuild("import", "tree.tar", "tree")
    pybuild.build("FROM tree\n", "-o", "type=local,dest=out").ok()
    subprocess.run(["diff", "-r", "--no-dereference", top, pybuild.work / "out"], check=True)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("import",), 2, "FILE (or -) and NAME are needed"),
        (("import", "rootfs.tar"), 2, "FILE (or -) and NAME are needed"),
        (("import", "missing.tar", "x"), 4, "missing.tar does not exist"),
        (("import", ".", "x"), 2, ". cannot be read: Is a directory"),
        (("import", "rootfs.tar", "BAD"), 2, "names are lower case"),
        (("import", "--from-host", "sh", "file", "name"), 2, "takes one argument"),
    ],
)
def test_a_wrong_import(pybuild: Pybuild, arguments: tuple[str, ...], status: int, message: str) -> None:
    pybuild.file("rootfs.tar", busybox_rootfs())
    done = pybuild.try_(*arguments)
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr


# --- saved and loaded ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_several_images_in_one_archive(based: Pybuild, tmp_path: Path, form: str) -> None:
    based.build("FROM base\nRUN echo 1 > /one\nCMD cat /one\n", "-t", "one", "-t", "one:again").ok()
    based.build("FROM base\nRUN echo 2 > /two\nCMD cat /two\n", "-t", "team/two:v2").ok()
    nameless = based.build("FROM base\nCMD nameless\n", "-q").ok().out.strip()
    images = ("one", "one:again", "team/two:v2", nameless)
    based("save", "--format", form, "-o", "all.tar", *images)
    listing = subprocess.run(["tar", "tf", based.work / "all.tar"], capture_output=True, text=True, check=True).stdout
    assert len(listing.splitlines()) == len(set(listing.splitlines())), "what they share is there once"
    other = Pybuild(tmp_path / "other", based.work)
    assert sorted(other("load", "-i", "all.tar").splitlines()) == [
        f"Loaded image ID: {nameless}",
        "Loaded image: one:again",
        "Loaded image: one:latest",
        "Loaded image: team/two:v2",
    ]
    assert names(other) == ["<none>:<none>", "one:again", "one:latest", "team/two:v2"]
    for image in images:
        assert inspected(other, image)["Id"] == inspected(based, image)["Id"]
    assert other("run", "--rm", "one") + other("run", "--rm", "team/two:v2") == "1\n2\n"


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_only_the_names_that_were_asked_for(based: Pybuild, tmp_path: Path, form: str) -> None:
    based("tag", "base", "other:v1")
    based("save", "--format", form, "-o", "other.tar", "other:v1")
    based("save", "--format", form, "-o", "id.tar", inspected(based, "base")["Id"])
    other = Pybuild(tmp_path / "other", based.work)
    assert other("load", "other.tar") == "Loaded image: other:v1\n"
    assert other("load", "-q", "id.tar") == ""
    assert names(other) == ["base:latest", "other:v1"]


@pytest.mark.parametrize("form", ["docker", "oci"])
@pytest.mark.parametrize("compression", ["plain", "gzip", "xz", "zstd"])
def test_an_archive_through_a_pipe(based: Pybuild, tmp_path: Path, form: str, compression: str) -> None:
    command = based.command("save", "--format", form, "base")
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    other = Pybuild(tmp_path / "other", based.work)
    assert other("load", input=COMPRESSORS[compression](archive)) == "Loaded image: base:latest\n"
    assert inspected(other, "base")["Id"] == inspected(based, "base")["Id"]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "uncompressed"])
def test_an_archives_layers_in_another_compression(based: Pybuild, tmp_path: Path, compression: str) -> None:
    based("save", "--format", "oci", "--compression", compression, "-o", "app.tar", "base")
    other = Pybuild(tmp_path / "other", based.work)
    other("load", "app.tar")
    assert inspected(other, "base")["Id"] == inspected(based, "base")["Id"]
    manifest = other.root / "blobs" / inspected(other, "base")["Digest"].replace(":", "/")
    (layer,) = json.loads(manifest.read_text())["layers"]
    assert layer["mediaType"].endswith("tar" if compression == "uncompressed" else f"tar+{compression}")


def test_an_archive_of_any_name(based: Pybuild) -> None:
    strange = "a=b,type=tar ü.tar"
    based("save", "-o", strange, "base")
    assert (based.work / strange).stat().st_size > 500_000
    assert based("load", strange) == "Loaded image: base:latest\n"


def test_saving_what_cannot_be_saved(based: Pybuild) -> None:
    for arguments, status, message in (
        (("missing",), 4, "no such image: missing"),
        (("base", "missing"), 4, "no such image: missing"),
        (("--compression", "gzip", "base"), 2, "--compression goes with --format oci"),
        (("-o", "no/such/directory/x.tar", "base"), 1, "cannot write no/such/directory/x.tar"),
        (("-o", "/dev/full", "base"), 1, "No space left on device"),
    ):
        done = based.try_("save", *arguments)
        assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert [path.name for path in based.work.iterdir()] == []


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_a_damaged_archive(based: Pybuild, tmp_path: Path, form: str) -> None:
    """Wherever it is cut off or changed: an error, and a store without it."""
    based("save", "--format", form, "-o", "app.tar", "base")
    whole = (based.work / "app.tar").read_bytes()
    other = Pybuild(tmp_path / "other", based.work)
    for damaged in (whole[:300], whole[:5000], whole[: len(whole) // 2], _changed(whole)):
        based.file("damaged.tar", damaged)
        done = other.try_("load", "damaged.tar")
        assert done.returncode == 5, done.stderr
        assert done.stderr.count("error: ") == 1
        assert other("images", "-q") == ""
        assert not list((other.root / "tmp").iterdir())
    assert other("load", "app.tar") == "Loaded image: base:latest\n"


def _changed(data: bytes) -> bytes:
    """One bit in the middle, which is that of the only layer."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


# --- OCI layouts as bases ------------------------------------------------------------------------


def test_a_base_from_a_layout(based: Pybuild) -> None:
    based.build("FROM base\nRUN echo 1 > /which\n", "-t", "app:one").ok()
    based.build("FROM base\nRUN echo 2 > /which\n", "-t", "app:two", "-t", "other:latest").ok()
    context = based.work / "context"
    context.mkdir()
    for name, images in (("single", ("app:one",)), ("many", ("app:one", "app:two", "other:latest"))):
        based("save", "--format", "oci", "-o", f"{name}.tar", *images)
        (context / name).mkdir()
        subprocess.run(["tar", "-xf", based.work / f"{name}.tar", "-C", context / name], check=True)
    fresh = Pybuild(based.work / "fresh", context)

    def which(base: str) -> str:
        fresh.build(f"FROM {base}\nRUN cp /which /out\n", "-t", "made").ok()
        return fresh.shell("made", "cat /out").strip()

    assert which("oci-layout:single") == "1"
    assert which("oci-layout:many:two") == "2"
    assert which("oci-layout:./many:app:one") == "1"
    (context / "with:colon").symlink_to("many")
    assert which("oci-layout:with:colon:app:one") == "1"
    assert which(f"oci-layout://{context}/many:two") == "2"
    assert which("oci-layout:many") == "2", "several: the one that is called latest"
    assert set(names(fresh)) == {"<none>:<none>", "made:latest"}, "a layout's names are its own"
    for base, message in (
        ("oci-layout:many:three", "the OCI layout ./many has no image three"),
        ("oci-layout:nowhere", "no OCI layout at ./nowhere"),
        ("oci-layout:single/blobs", "index.json of the archive is missing"),
    ):
        built = fresh.build(f"FROM {base}\n")
        assert built.status in (4, 5)
        assert message in built.err, built.err
    assert "app:one, app:two" in fresh.build("FROM oci-layout:many:three\n").err


def test_the_store_itself_is_such_a_layout(based: Pybuild) -> None:
    fresh = Pybuild(based.work / "fresh", based.work)
    fresh.build(f"FROM oci-layout:{based.root}:latest\nRUN echo 1 > /out\n", "-t", "made").ok()
    assert fresh.shell("made", "cat /out") == "1\n"
    small(based, "other", "x")
    unclear = fresh.build(f"FROM oci-layout:{based.root}:latest\n")
    assert unclear.status == 2
    assert "several images latest" in unclear.err
    assert "name one of base:latest, other:latest" in unclear.err
    fresh.build(f"FROM oci-layout:{based.root}:base:latest\nRUN echo 1 > /out\n").ok()


# --- where the store is --------------------------------------------------------------------------


def test_the_root_is_chosen(tmp_path: Path) -> None:
    """By the option, before or after the command, before the variable."""

    def images(*arguments: str, **env: str) -> set[str]:
        command = [str(PROGRAM), *arguments]
        subprocess.run(command, env={**os.environ, "HOME": str(tmp_path), **env}, cwd=tmp_path, check=True)
        made = {p.name for p in tmp_path.iterdir() if (p / "oci-layout").exists()}
        for name in made:
            subprocess.run(["rm", "-r", tmp_path / name], check=True)
        return made

    variable = str(tmp_path / "variable")
    assert images("images", PYBUILD_ROOT=variable) == {"variable"}
    assert images("--root", "option", "images", PYBUILD_ROOT=variable) == {"option"}
    assert images("--root=option", "images") == {"option"}
    assert images("images", "--root", "option", PYBUILD_ROOT=variable) == {"option"}
    assert images("--root", "first", "images", "--root", "last") == {"last"}
    assert images("cache", "du", "--root", "option") == {"option"}


def test_a_directory_that_is_no_store_is_left_alone(tmp_path: Path, pybuild: Pybuild) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis").write_text("x")
    done = Pybuild(tmp_path / "mine", pybuild.work).try_("images")
    assert done.returncode == 6
    assert f"{tmp_path}/mine is not empty and no store" in done.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis"]
    (tmp_path / "file").write_text("x")
    done = Pybuild(tmp_path / "file", pybuild.work).try_("images")
    assert (done.returncode, "the store cannot be in" in done.stderr) == (6, True), done.stderr
