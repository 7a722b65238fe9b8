"""Documents are valid by the libraries' own validators, whatever is in them, and the same for the same."""

from __future__ import annotations

import builtins
import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from builder.attest.documents import CYCLONEDX, SPDX, document
from builder.attest.inventory import Inventory, Package, System
from builder.attest.purl import listed
from builder.attest.subject import Subject, image_purl, subject_of
from builder.attest.text import clean
from builder.digest import Digest
from builder.errors import UsageError
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.image.reference import Reference

AMD64 = Platform("linux", "amd64")
SUBJECT = Subject(Digest.of(b"x"), (Reference.parse("registry.example/app:1"),), AMD64, 1_700_000_000)
DEBIAN = System("debian", "12", "Debian GNU/Linux 12")
GLIBC = Package(
    "deb",
    "libc6",
    "2.36-9",
    architecture="amd64",
    source="glibc",
    licenses=("LGPL-2.1+", "own"),
    supplier="GNU Libc Maintainers <debian-glibc@lists.debian.org>",
    homepage="https://www.gnu.org/software/libc/",
    place="var/lib/dpkg/status",
)
INVENTORY = Inventory(DEBIAN, (GLIBC,), ("/x: it is damaged",))


def faults(made: dict[str, Any]) -> list[str]:
    """What the validator of the document's format says of it."""
    text = json.dumps(made)
    if "bomFormat" in made:
        # A schema for the names of algorithms is not looked for elsewhere: all are with the library.
        wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        return [] if wrong is None else [str(wrong)]
    messages = validate_full_spdx_document(JsonLikeDictParser().parse(json.loads(text)))
    return [message.validation_message for message in messages]


def test_spdx() -> None:
    made = document(SPDX, INVENTORY, SUBJECT)
    assert faults(made) == []
    assert made["spdxVersion"] == "SPDX-2.3"
    assert made["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    assert "/x: it is damaged" in made["comment"]
    by_name = {package["name"]: package for package in made["packages"]}
    assert by_name["libc6"]["externalRefs"][0]["referenceLocator"] == (
        "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12&upstream=glibc"
    )
    assert by_name["libc6"]["licenseDeclared"] == "LGPL-2.1-or-later AND LicenseRef-own"
    assert by_name["libc6"]["supplier"] == "Person: GNU Libc Maintainers (debian-glibc@lists.debian.org)"
    assert by_name["debian"]["primaryPackagePurpose"] == "OPERATING_SYSTEM"
    image = by_name["registry.example/app:1"]
    assert image["versionInfo"] == str(SUBJECT.image)
    contained = [r["relatedSpdxElement"] for r in made["relationships"] if r["relationshipType"] == "CONTAINS"]
    assert len(contained) == 2
    assert [text["licenseId"] for text in made["hasExtractedLicensingInfos"]] == ["LicenseRef-own"]


def test_cyclonedx() -> None:
    made = document(CYCLONEDX, INVENTORY, SUBJECT)
    assert faults(made) == []
    assert made["specVersion"] == "1.6"
    system, glibc = sorted(made["components"], key=lambda component: component["type"], reverse=True)
    assert (system["type"], system["name"], system["version"]) == ("operating-system", "debian", "12")
    assert glibc["purl"] == "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12&upstream=glibc"
    assert glibc["licenses"] == [{"expression": "LGPL-2.1-or-later AND LicenseRef-own"}]
    assert made["metadata"]["component"]["type"] == "container"
    assert made["metadata"]["properties"] == [{"name": "pybuild:unread", "value": "/x: it is damaged"}]


@pytest.mark.parametrize("form", [SPDX, CYCLONEDX])
def test_an_image_without_packages_and_names(form: str) -> None:
    assert faults(document(form, Inventory(), Subject(Digest.of(b"x"), (), AMD64, 0))) == []


@pytest.mark.parametrize("form", [SPDX, CYCLONEDX])
def test_the_same_image_gives_the_same_document(form: str) -> None:
    assert document(form, INVENTORY, SUBJECT) == document(form, INVENTORY, SUBJECT)
    other = document(form, Inventory(DEBIAN, (GLIBC,)), SUBJECT)
    key = "documentNamespace" if form == SPDX else "serialNumber"
    assert document(form, INVENTORY, SUBJECT)[key] != other[key]


text = st.one_of(st.text(max_size=12), st.text(alphabet="()@/<>:#?% +,.-andorMITGPL2", max_size=20)).map(clean)
packages = st.builds(
    Package,
    st.sampled_from(["deb", "apk", "rpm", "pypi", "npm"]),
    st.from_regex(r"[A-Za-z0-9._+~()*-]*[A-Za-z0-9]", fullmatch=True),
    text,
    architecture=text,
    namespace=text,
    epoch=text,
    source=text,
    source_version=text,
    licenses=st.lists(text, max_size=3).map(tuple),
    supplier=text,
    homepage=st.one_of(text, text.map("http://{}".format)),
    place=text,
)
inventories = st.builds(
    Inventory, st.builds(System, text, text, text), st.lists(packages, max_size=3).map(tuple), st.just(("x",))
)


@settings(max_examples=40, deadline=None)
@example(Inventory(System("", "", ""), (Package("deb", "0", "", licenses=("()",)),), ("x",)))
@example(Inventory(System("", "", ""), (Package("deb", "0", "", supplier="()"),), ("x",)))
@example(Inventory(System("", "", ""), (Package("rpm", "0", "", supplier=" (somebody)"),), ("x",)))
@given(inventories)
def test_whatever_packages_say_the_documents_are_valid(inventory: Inventory) -> None:
    for form in (SPDX, CYCLONEDX):
        assert faults(document(form, inventory, SUBJECT)) == []


def test_spellings_that_mean_the_same_package_are_one() -> None:
    both = (Package("pypi", "Foo_Bar", "1"), Package("pypi", "foo-bar", "1"))
    assert [url for _, url in listed(Inventory(packages=both))] == ["pkg:pypi/foo-bar@1"]


@pytest.mark.parametrize(
    ("package", "url"),
    [
        (Package("apk", "musl", "1.2.4-r2", architecture="x86_64"), "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64"),
        (Package("npm", "it", "2", namespace="@s"), "pkg:npm/%40s/it@2"),
        (Package("rpm", "a", "1-2", epoch="7"), "pkg:rpm/a@1-2?epoch=7"),
    ],
)
def test_urls_of_packages(package: Package, url: str) -> None:
    assert [found for _, found in listed(Inventory(packages=(package,)))] == [url]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("alpine:3.17", "pkg:docker/alpine@3.17?platform=linux%2Famd64"),
        ("registry.example:5000/a/b:1", "pkg:docker/registry.example:5000/a/b@1?platform=linux%2Famd64"),
    ],
)
def test_urls_of_images_are_buildkit_s(name: str, url: str) -> None:
    assert image_purl(Reference.parse(name), AMD64) == url


@pytest.mark.parametrize("created", [None, "", "yesterday", "9999-99-99", "0001-01-01T00:00:00Z", "2024-01-01"])
def test_images_of_any_time(created: str | None) -> None:
    subject = subject_of(Digest.of(b"x"), ImageConfig(platform=AMD64, created=created), ())
    assert subject.created == (1_704_067_200 if created == "2024-01-01" else 0)


def test_without_the_libraries_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name == "builder.attest.cyclonedx":
            raise ModuleNotFoundError("No module named 'cyclonedx'", name="cyclonedx")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageError) as caught:
        document(CYCLONEDX, INVENTORY, SUBJECT)
    assert caught.value.hint == "pip install 'pybuild[sbom]'"
