"""What is in an image: read of its layers as they lie on each other, without running anything of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.attest.documents import CYCLONEDX, SPDX
from tests.support.program import Pybuild
from tests.unit.attest.test_documents import faults

FILES = {
    "status": "Package: one\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n",
    "os-release": "ID=debian\nVERSION_ID=12\n",
    "METADATA": "Name: two\nVersion: 2\nLicense: MIT\n",
}
TEXT = """FROM scratch
COPY status /var/lib/dpkg/status
COPY os-release /etc/os-release
COPY METADATA /opt/two.dist-info/METADATA
COPY METADATA /opt/gone.dist-info/METADATA
"""


@pytest.fixture
def image(pybuild: Pybuild) -> Pybuild:
    for name, content in FILES.items():
        pybuild.file(name, content)
    pybuild.build(TEXT, "-t", "it").ok()
    return pybuild


def test_a_table(image: Pybuild) -> None:
    head, *rows = image("sbom", "it").splitlines()
    assert head.split() == ["NAME", "VERSION", "TYPE", "ARCHITECTURE", "TOLD", "BY"]
    assert [row.split() for row in rows] == [
        ["one", "1", "deb", "amd64", "/var/lib/dpkg/status"],
        ["two", "2", "pypi", "/opt/gone.dist-info/METADATA"],
    ]


@pytest.mark.parametrize("form", [SPDX, CYCLONEDX])
def test_documents(image: Pybuild, form: str) -> None:
    made = json.loads(image("sbom", "it", "--format", form))
    assert faults(made) == []
    assert {"one", "two", "debian"} <= {entry["name"] for entry in made.get("packages", made.get("components"))}
    image("sbom", "it", "--format", form, "-o", "list.json")
    assert json.loads((image.work / "list.json").read_text()) == made


def test_what_an_upper_layer_deletes_is_not_there(image: Pybuild) -> None:
    image.base()
    image.file("more", "Package: three\nVersion: 3\n")
    image.build(
        "FROM base\nCOPY status /var/lib/dpkg/status\nCOPY METADATA /opt/two.dist-info/METADATA\n"
        "RUN rm -r /opt/two.dist-info && ln /var/lib/dpkg/status /again\nCOPY more /var/lib/dpkg/status\n",
        "-t",
        "that",
    ).ok()
    assert [row.split()[0] for row in image("sbom", "that").splitlines()[1:]] == ["three"]


def test_the_layer_that_has_a_package_is_told(image: Pybuild) -> None:
    layers = json.loads(image("inspect", "it"))[0]["RootFS"]["Layers"]
    by_name = {p["name"]: p for p in json.loads(image("sbom", "it", "--format", SPDX))["packages"]}
    assert by_name["one"]["sourceInfo"] == f"told by /var/lib/dpkg/status, in layer {layers[0]}"
    assert by_name["two"]["sourceInfo"] == f"told by /opt/gone.dist-info/METADATA, in layer {layers[3]}"
    # Of a file that is in several layers it is the topmost.
    image.file("more", "Package: three\nVersion: 3\n")
    image.build("FROM it\nCOPY more /var/lib/dpkg/status\n", "-t", "that").ok()
    layers = json.loads(image("inspect", "that"))[0]["RootFS"]["Layers"]
    parts = json.loads(image("sbom", "that", "--format", CYCLONEDX))["components"]
    (three,) = (part for part in parts if part["name"] == "three")
    assert {"name": "pybuild:layer", "value": layers[4]} in three["properties"]


def test_what_cannot_be_read_is_told(image: Pybuild) -> None:
    image.file("rpm", "nonsense")
    image.build("FROM it\nCOPY rpm /var/lib/rpm/rpmdb.sqlite\n", "-t", "that").ok()
    done = image.try_("sbom", "that")
    assert done.returncode == 0
    assert "not read: /var/lib/rpm/rpmdb.sqlite: " in done.stderr
    assert "/var/lib/rpm/rpmdb.sqlite" in json.loads(image("sbom", "that", "--format", SPDX))["comment"]


def test_the_same_image_in_another_store_gives_the_same_bytes(image: Pybuild, tmp_path: Path) -> None:
    image("save", "it", "-o", "it.tar")
    other = Pybuild(tmp_path / "other", image.work)
    other("load", "-i", "it.tar")
    for form in (SPDX, CYCLONEDX):
        assert other("sbom", "it", "--format", form) == image("sbom", "it", "--format", form)


def test_as_a_user(as_user: Pybuild) -> None:
    for name, content in FILES.items():
        as_user.file(name, content)
    as_user.build(TEXT, "-t", "it").ok()
    assert len(as_user("sbom", "it").splitlines()) == 3


def test_no_such_image(pybuild: Pybuild) -> None:
    assert pybuild.try_("sbom", "none").returncode == 4
    assert pybuild.try_("sbom", "none", "-o", "file").returncode == 2
