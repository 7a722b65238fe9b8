"""Indexes put together by hand: pybuild manifest, and what others make of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Pybuild
from tests.support.registry import Registry
from tests.system.test_multi import BOTH, NOTHING_RUNS, OTHER, OWN, inspected, skopeo


@pytest.fixture
def two(pybuild: Pybuild) -> Pybuild:
    """Two images, `own` and `other`, each for a platform."""
    for name, arch in (("own", OWN), ("other", OTHER)):
        pybuild("build", "-q", "--platform", f"linux/{arch}", "-t", name, "-", input=NOTHING_RUNS)
    return pybuild


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    (tmp_path / "registry").mkdir()
    with Registry(tmp_path / "registry") as started:
        yield started


def listed(pybuild: Pybuild, name: str = "app", *words: str) -> Any:
    return json.loads(pybuild("manifest", "inspect", *words, name))


def platforms(pybuild: Pybuild, name: str = "app") -> list[str]:
    return [
        "/".join(filter(None, (m["platform"]["os"], m["platform"]["architecture"], m["platform"].get("variant"))))
        for m in listed(pybuild, name)["manifests"]
    ]


def test_an_index_is_made_of_images(two: Pybuild) -> None:
    digest = two("manifest", "create", "app", "own", "other").strip()
    assert platforms(two) == [f"linux/{OWN}", f"linux/{OTHER}"]
    assert inspected(two, "app", "--platform", OTHER)["Id"] == inspected(two, "other")["Id"]
    built = two("build", "-q", "--platform", BOTH, "-", input=NOTHING_RUNS).strip()
    assert digest == built, "the same images make the same index"
    assert json.loads(skopeo("inspect", "--raw", f"oci:{two.root}:app:latest")) == listed(two)
    for refused in (("app",), ("own", "other")):
        done = two.try_("manifest", "create", *refused)
        assert done.returncode == 2, done.stderr
    assert "own is the name of an image already" in two.try_("manifest", "create", "own").stderr
    assert "--amend adds to it" in two.try_("manifest", "create", "app").stderr


def test_an_index_grows_and_shrinks_and_takes_its_names_along(two: Pybuild) -> None:
    assert two.try_("manifest", "exists", "app").returncode == 1
    two("manifest", "create", "app")
    assert listed(two) == {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [],
    }  # fmt: skip
    assert two.try_("manifest", "exists", "app").returncode == 0
    two("tag", "app", "also")
    two("manifest", "add", "app", "own")
    two("manifest", "create", "--amend", "--annotation", "a=b", "app", "other")
    assert platforms(two) == platforms(two, "also") == [f"linux/{OWN}", f"linux/{OTHER}"]
    assert listed(two)["annotations"] == {"a": "b"}
    two("manifest", "remove", "app", inspected(two, "other")["Digest"])
    assert platforms(two) == [f"linux/{OWN}"]
    two("manifest", "remove", "app", "own")
    assert platforms(two, "also") == []
    assert len(json.loads((two.root / "index.json").read_text())["manifests"]) == 4, "own, other, app, also"
    two("manifest", "rm", "app", "also")
    assert two.try_("manifest", "exists", "app").returncode == 1
    assert {row["repository"] for row in json.loads(two("images", "--format", "json"))} == {"own", "other"}


def test_entries_say_what_they_are_told_to(two: Pybuild) -> None:
    two("manifest", "create", "app", "own")
    two(
        "manifest", "add", "app", "other", "--arch", "arm", "--variant", "v7", "--os-version", "1.2",
        "--os-features", "a,b", "--features", "c", "--annotation", "k=v",
    )  # fmt: skip
    second = listed(two)["manifests"][1]
    assert second["annotations"] == {"k": "v"}
    assert second["platform"] == {
        "architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1.2", "os.features": ["a", "b"],
        "features": ["c"],
    }  # fmt: skip
    two("manifest", "annotate", "app", second["digest"][7:15], "--arch", "riscv64", "--annotation", "l=w")
    changed = listed(two)["manifests"][1]
    assert changed["annotations"] == {"k": "v", "l": "w"}
    assert changed["platform"]["architecture"] == "riscv64"
    assert "variant" not in changed["platform"]
    two("manifest", "annotate", "app", "--index", "--annotation", "top=1")
    assert listed(two)["annotations"] == {"top": "1"}
    two("manifest", "add", "app", "other")
    assert platforms(two) == [f"linux/{OWN}", f"linux/{OTHER}"], "the same image again is in its place"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "nothing", "own"), "no such index: nothing"),
        (("add", "own", "other"), "own is an image, and no index"),
        (("annotate", "app", "other", "--arch", "arm"), "app has no image other"),
        (("remove", "app", "own", "other"), "app has no image other"),
        (("annotate", "app", "--index", "--arch", "arm"), "an index has no platform"),
        (("annotate", "app"), "IMAGE or --index is needed"),
        (("add", "app", "app", "--arch", "s390x"), "the image is not made for linux/s390x"),
        (("rm", "own"), "own is an image, and no index"),
        (("rm", "app", "none"), "no such index: none"),
        (("create", "x@sha256:" + "0" * 64, "own"), "a tag cannot be given by it"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(two: Pybuild, words: tuple[str, ...], says: str) -> None:
    two("manifest", "create", "app", "own")
    before = listed(two)
    done = two.try_("manifest", *words)
    assert done.returncode != 0
    assert says in done.stderr
    assert listed(two) == before


def test_images_for_an_index_come_from_registries(two: Pybuild, registry: Registry) -> None:
    two("build", "-q", "--platform", BOTH, "-t", "both", "-", input=NOTHING_RUNS)
    here, there = f"oci:{two.root}", f"docker://{registry.address}"
    skopeo("copy", "--dest-tls-verify=false", f"{here}:own:latest", f"{there}/own:1")
    skopeo("copy", "--all", "--dest-tls-verify=false", f"{here}:both:latest", f"{there}/both:1")
    two("rmi", "own", "both", "other")
    two("manifest", "create", "app", f"docker://{registry.address}/own:1")
    two("manifest", "add", "app", f"{registry.address}/both:1", "--arch", OTHER)
    assert platforms(two) == [f"linux/{OWN}", f"linux/{OTHER}"]
    two("manifest", "create", "--all", "every", f"{registry.address}/both:1")
    assert listed(two, "every") == listed(two, f"{registry.address}/both:1")
    two("rmi", f"{registry.address}/both:1", "every", "app")
    remote = listed(two, f"{registry.address}/both:1")
    assert [m["platform"]["architecture"] for m in remote["manifests"]] == [OWN, OTHER]
    about = listed(two, f"{registry.address}/both:1", "-v")
    assert [each["Ref"] for each in about] == [f"{registry.address}/both:1@{m['digest']}" for m in remote["manifests"]]
    assert all(each["OCIManifest"]["layers"] for each in about)
    single = listed(two, f"{registry.address}/own:1", "-v")
    assert single["OCIManifest"]["config"]["digest"].startswith("sha256:")
    assert "has no manifest 1" in two.try_("manifest", "inspect", f"{registry.address}/none:1").stderr


def test_buildah_makes_the_same_index(two: Pybuild, tmp_path: Path) -> None:
    storage = ("--root", str(tmp_path / "buildah"), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs")

    def buildah(*words: str) -> None:
        subprocess.run(["buildah", *storage, *words], check=True, capture_output=True, timeout=120)

    buildah("manifest", "create", "list")
    for name in ("own", "other"):
        skopeo("copy", f"oci:{two.root}:{name}:latest", f"oci-archive:{tmp_path}/{name}.tar")
        buildah("manifest", "add", "list", f"oci-archive:{tmp_path}/{name}.tar")
    buildah("manifest", "push", "--all", "list", f"oci:{tmp_path}/theirs:x")
    theirs = json.loads(skopeo("inspect", "--raw", f"oci:{tmp_path}/theirs:x"))
    two("manifest", "create", "app", "own", "other")
    assert theirs["manifests"] == listed(two)["manifests"]


def test_indexes_can_be_added_to_at_the_same_time(two: Pybuild) -> None:
    for number in range(4):
        two("build", "-q", "--label", f"n={number}", "-t", f"one:{number}", "-", input=NOTHING_RUNS)
    two("manifest", "create", "app")
    running = [two.start("manifest", "add", "app", f"one:{number}") for number in range(4)]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert len(listed(two)["manifests"]) == 4
    assert len(json.loads((two.root / "index.json").read_text())["manifests"]) == 4 + 2 + 1
    assert "all is well" in two("cache", "verify")
