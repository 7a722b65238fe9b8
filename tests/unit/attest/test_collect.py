"""Trees as images have them → inventories; what is hostile in them is told of and harms nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from builder.attest import collect, inventory
from builder.attest.collect import collected
from builder.attest.inventory import Inventory, Package, System
from builder.errors import BadInputError

STATUS = """Package: base-files
Status: install ok installed
Maintainer: Santiago Vila <sanvila@debian.org>
Architecture: amd64
Version: 12.4+deb12u5
Description: Debian base system
 with more lines
 .
 Version: none of it

Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.36-9)
Homepage: https://www.gnu.org/software/libc/libc.html
Version: 2.36-9+deb12u4

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: never
Status: unknown ok not-installed
"""
COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files: *
License: GPL-2+
 text

Files: debian/*
License: Expat

License: GPL-2+
 On Debian systems…
"""
INSTALLED = """C:Q1abc=
P:musl
V:1.2.4-r2
A:x86_64
T:the musl c library
U:https://musl.libc.org/
L:MIT
o:musl
m:Timo <timo@example.org>
F:lib
a:0:0:755
R:ld-musl.so
p:so:libc.musl-x86_64.so.1=1

P:busybox-binsh
V:1.36.1-r5
A:x86_64
L:GPL-2.0-only
o:busybox
"""


def found(tmp_path: Path, files: dict[str, str | bytes]) -> Inventory:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return collected(str(tmp_path))


def names(inventory: Inventory) -> list[str]:
    return [f"{package.full_name} {package.version}" for package in inventory.packages]


# --- what there is -----------------------------------------------------------------------------------


def test_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, {"bin/sh": "", "app/status": "Package: no\n"}) == Inventory()


def test_dpkg(tmp_path: Path) -> None:
    files = {"var/lib/dpkg/status": STATUS, "usr/share/doc/libc6/copyright": COPYRIGHT}
    assert found(tmp_path, files).packages == (
        Package(
            "deb",
            "base-files",
            "12.4+deb12u5",
            architecture="amd64",
            supplier="Santiago Vila <sanvila@debian.org>",
            place="var/lib/dpkg/status",
        ),
        Package(
            "deb",
            "libc6",
            "2.36-9+deb12u4",
            architecture="amd64",
            source="glibc",
            source_version="2.36-9",
            licenses=("GPL-2+", "Expat"),
            homepage="https://www.gnu.org/software/libc/libc.html",
            place="var/lib/dpkg/status",
        ),
    )


def test_a_copyright_in_prose_states_nothing_that_is_read(tmp_path: Path) -> None:
    files = {"var/lib/dpkg/status": STATUS, "usr/share/doc/libc6/copyright": "It is free.\nLicense: yes\n"}
    assert found(tmp_path, files).packages[1].licenses == ()


def test_images_without_a_package_manager(tmp_path: Path) -> None:
    files = {
        "var/lib/dpkg/status.d/base": "Package: base-files\nVersion: 12\nArchitecture: amd64\n",
        "var/lib/dpkg/status.d/tzdata": "Package: tzdata\nVersion: 2024a\nArchitecture: all\n",
        "var/lib/dpkg/status.d/tzdata.md5sums": "0123 usr/share/zoneinfo\n",
    }
    inventory = found(tmp_path, files)
    assert names(inventory) == ["base-files 12", "tzdata 2024a"]
    assert inventory.unread == ()


@pytest.mark.parametrize("place", ["lib/apk/db/installed", "usr/lib/apk/db/installed"])
def test_apk(tmp_path: Path, place: str) -> None:
    one, two = found(tmp_path, {place: INSTALLED}).packages
    assert (one.name, one.version, one.source, one.licenses) == (
        "busybox-binsh",
        "1.36.1-r5",
        "busybox",
        ("GPL-2.0-only",),
    )
    assert two == Package(
        "apk",
        "musl",
        "1.2.4-r2",
        architecture="x86_64",
        source="musl",
        licenses=("MIT",),
        supplier="Timo <timo@example.org>",
        homepage="https://musl.libc.org/",
        place=place,
    )


SITE = "usr/lib/python3/site-packages"


def test_python(tmp_path: Path) -> None:
    inventory = found(
        tmp_path,
        {
            f"{SITE}/click-8.1.dist-info/METADATA": "Metadata-Version: 2.4\nName: click\nVersion: 8.1\n"
            "License-Expression: BSD-3-Clause\nLicense: other\n\nName: no\nLicense: nothing\n",
            f"{SITE}/old.egg-info/PKG-INFO": "Name: old\nVersion: 1\nLicense: UNKNOWN\n"
            "Classifier: License :: OSI Approved :: MIT License\nClassifier: Topic :: X\n",
            f"{SITE}/older.egg-info": "Name: older\nVersion: 2\nLicense: BSD\nHome-page: https://example.org\n",
            f"{SITE}/long.dist-info/METADATA": "Name: long\nVersion: 3\nLicense: Permission is hereby\n granted\n",
            f"{SITE}/long.dist-info/licenses/METADATA.txt": "Name: no\n",
        },
    )
    assert {package.name: package.licenses for package in inventory.packages} == {
        "click": ("BSD-3-Clause",),
        "old": ("MIT License",),
        "older": ("BSD",),
        "long": (),
    }


def test_npm(tmp_path: Path) -> None:
    package = {"name": "left-pad", "version": "1.3.0", "license": "WTFPL", "homepage": "https://example.org"}
    inventory = found(
        tmp_path,
        {
            "app/node_modules/left-pad/package.json": json.dumps(package),
            "app/node_modules/left-pad/test/package.json": json.dumps({"name": "no", "version": "0"}),
            "app/node_modules/@scope/it/package.json": json.dumps(
                {"name": "@scope/it", "version": "2", "licenses": [{"type": "MIT", "url": "x"}]}
            ),
            "app/node_modules/part/package.json": json.dumps({"type": "module"}),
            "app/package.json": json.dumps({"name": "app", "version": "1"}),
        },
    )
    assert names(inventory) == ["@scope/it 2", "left-pad 1.3.0"]
    by_name = {package.full_name: package for package in inventory.packages}
    assert by_name["left-pad"].licenses == ("WTFPL",)
    assert (by_name["@scope/it"].namespace, by_name["@scope/it"].licenses) == ("@scope", ("MIT",))


def test_package_locks(tmp_path: Path) -> None:
    third = {
        "lockfileVersion": 3,
        "packages": {
            "": {"name": "app", "version": "1"},
            "node_modules/a": {"version": "1.0.0", "license": "MIT"},
            "node_modules/a/node_modules/@s/b": {"version": "2.0.0"},
            "node_modules/alias": {"name": "real", "version": "3.0.0"},
            "node_modules/linked": {"resolved": "packages/linked", "link": True},
            "packages/linked": {"version": "9"},
        },
    }
    first = {"dependencies": {"c": {"version": "4.0.0", "dependencies": {"d": {"version": "5.0.0"}}}}}
    inventory = found(
        tmp_path, {"app/package-lock.json": json.dumps(third), "old/package-lock.json": json.dumps(first)}
    )
    assert sorted(names(inventory)) == ["@s/b 2.0.0", "a 1.0.0", "c 4.0.0", "d 5.0.0", "real 3.0.0"]
    assert inventory.unread == ()


def test_a_package_that_is_installed_and_locked_is_one(tmp_path: Path) -> None:
    lock = {"lockfileVersion": 3, "packages": {"node_modules/a": {"version": "1.0.0"}}}
    inventory = found(
        tmp_path,
        {
            "app/node_modules/a/package.json": json.dumps({"name": "a", "version": "1.0.0", "license": "MIT"}),
            "app/package-lock.json": json.dumps(lock),
        },
    )
    assert [(package.name, package.licenses) for package in inventory.packages] == [("a", ("MIT",))]


def test_the_system(tmp_path: Path) -> None:
    text = 'PRETTY_NAME="Debian GNU/Linux 12 (\\"bookworm\\")"\nID=debian\nVERSION_ID="12"\nBUG=1\n'
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").symlink_to("../usr/lib/os-release")
    inventory = found(tmp_path, {"usr/lib/os-release": text})
    assert inventory.system == System("debian", "12", 'Debian GNU/Linux 12 ("bookworm")')


def test_a_system_of_its_own_comes_before_the_vendor_s(tmp_path: Path) -> None:
    inventory = found(tmp_path, {"etc/os-release": "ID=mine\n", "usr/lib/os-release": "ID=debian\n"})
    assert inventory.system.id == "mine"


def test_the_order_of_the_disk_does_not_count(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"{SITE}/p{n}.dist-info/METADATA": f"Name: p{n}\nVersion: 1\n" for n in range(50)}
    one, two = tmp_path / "one", tmp_path / "two"
    assert found(one, files) == found(two, dict(reversed(files.items())))


# --- what is hostile ---------------------------------------------------------------------------------


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    (outside / "status").write_text(STATUS)
    (tree / "var/lib/dpkg").mkdir(parents=True)
    (tree / "var/lib/dpkg/status").symlink_to(outside / "status")
    (tree / "usr").mkdir()
    (tree / "usr/lib").symlink_to(outside)
    (tree / "round").symlink_to(".")
    (tree / "a").symlink_to("b")
    (tree / "b").symlink_to("a")
    assert collected(str(tree)) == Inventory()


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg/status").mkdir(parents=True)
    (tmp_path / "lib/apk/db").mkdir(parents=True)
    os.mkfifo(tmp_path / "lib/apk/db/installed")  # opening it would wait for ever
    assert collected(str(tmp_path)) == Inventory()


def test_a_file_that_is_too_large_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    with (tmp_path / "var/lib/dpkg/status").open("wb") as file:
        file.truncate(1 << 40)
    assert collected(str(tmp_path)).unread == ("/var/lib/dpkg/status: it is larger than 512 MB, and not read",)


def test_control_characters_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    status = b"Package: evil\nVersion: 1\x1b[31m\xff\xfe\x00\nMaintainer: a\rb\x07\n"
    (package,) = found(tmp_path, {"var/lib/dpkg/status": status}).packages
    assert package.version == "1�[31m���"
    assert package.supplier == "a�b�"


@pytest.mark.parametrize("name", ["", "/", "..", "a b", "x\x1b", "a/b", "é", "-" * 5])
def test_a_name_that_cannot_be_is_told_of(tmp_path: Path, name: str) -> None:
    inventory = found(tmp_path, {"var/lib/dpkg/status": f"Package: {name}\nVersion: 1\n\nPackage: a\nVersion: 1\n"})
    assert names(inventory) == ["a 1"]
    (told,) = inventory.unread
    assert told.startswith("/var/lib/dpkg/status: it has an entry without a usable name")
    assert told.isprintable()


def test_very_many_entries_that_cannot_be(tmp_path: Path) -> None:
    unread = found(tmp_path, {"lib/apk/db/installed": "P:\nV:1\n\n" * 1000}).unread
    assert len(unread) == 101


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"packages": 1}',
        b'{"packages": {"node_modules/a": 1}}',
        b'{"dependencies": {"a": []}}',
    ],
)
def test_package_locks_that_are_none(tmp_path: Path, data: bytes) -> None:
    assert found(tmp_path, {"package-lock.json": data}).unread == (
        "/package-lock.json: it is no package-lock.json that can be read",
    )


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'{"name": "\xff"}'])
def test_package_json_that_is_none(tmp_path: Path, data: bytes) -> None:
    place = "node_modules/a/package.json"
    assert found(tmp_path, {place: data}).unread == (f"/{place}: it is not JSON as npm has it",)


def test_deep_dependencies_end(tmp_path: Path) -> None:
    deep: dict[str, object] = {"version": "1"}
    for _ in range(400):
        deep = {"version": "1", "dependencies": {"a": deep}}
    assert names(found(tmp_path, {"package-lock.json": json.dumps({"dependencies": {"a": deep}})})) == ["a 1"]


def test_too_many_packages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "MOST_PACKAGES", 10)
    status = "".join(f"Package: p{n}\nVersion: 1\n\n" for n in range(11))
    with pytest.raises(BadInputError, match="more than 10 packages"):
        found(tmp_path, {"var/lib/dpkg/status": status})


def test_a_million_packages_end_soon(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    with (tmp_path / "var/lib/dpkg/status").open("w") as file:
        file.writelines(f"Package: p{n}\nVersion: 1\n\n" for n in range(1_000_000))
    with pytest.raises(BadInputError, match="more than 100000 packages"):
        collected(str(tmp_path))


def test_one_endless_line(tmp_path: Path) -> None:
    status = b"Package: a\nVersion: " + b"1" * 5_000_000 + b"\n"
    (package,) = found(tmp_path, {"var/lib/dpkg/status": status}).packages
    assert len(package.version) == 1024


def test_directories_that_cannot_be_listed_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("/secret"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(collect.os, "scandir", scandir)
    (tmp_path / "secret").mkdir()
    assert collected(str(tmp_path)).unread == ("/secret: it cannot be listed: Permission denied",)
