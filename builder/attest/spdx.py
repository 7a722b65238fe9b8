"""An inventory as an SPDX 2.3 document (spdx-tools): the same image gives the same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from spdx_tools.spdx.jsonschema.document_converter import DocumentConverter
from spdx_tools.spdx.model.actor import Actor, ActorType
from spdx_tools.spdx.model.checksum import Checksum, ChecksumAlgorithm
from spdx_tools.spdx.model.document import CreationInfo, Document
from spdx_tools.spdx.model.extracted_licensing_info import ExtractedLicensingInfo
from spdx_tools.spdx.model.package import (
    ExternalPackageRef,
    ExternalPackageRefCategory,
    Package,
    PackagePurpose,
)
from spdx_tools.spdx.model.relationship import Relationship, RelationshipType
from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion
from spdx_tools.spdx.validation.uri_validators import validate_url

from builder.attest import inventory as inventories
from builder.attest.inventory import Inventory
from builder.attest.licenses import Stated, licensing, stated
from builder.attest.purl import listed
from builder.attest.subject import Subject, identity, image_purl
from builder.digest import Digest
from builder.version import __version__

_DOCUMENT, _IMAGE, _SYSTEM = "SPDXRef-DOCUMENT", "SPDXRef-Image", "SPDXRef-OperatingSystem"
_ID = re.compile(r"[^A-Za-z0-9.-]+")
_WEB = re.compile(r"https?://")
_ACTOR = re.compile(r"([^<>]+?)\s*<([^<>@\s]+@[^<>@\s]+)>")


def document(inventory: Inventory, subject: Subject) -> dict[str, Any]:
    """The document, as plain data in the order of its JSON form."""
    packages = [_package(package, url) for package, url in listed(inventory)]
    system = list(_system(inventory))
    contained = [*system, *(package for package, _ in packages)]
    relations = [Relationship(_DOCUMENT, RelationshipType.DESCRIBES, _IMAGE)]
    relations += [Relationship(_IMAGE, RelationshipType.CONTAINS, package.spdx_id) for package in contained]
    texts = dict(pair for _, license_ in packages if license_ for pair in license_.references)
    whole = Document(
        _creation(inventory, subject),
        packages=[_image(subject), *contained],
        relationships=relations,
        extracted_licensing_info=[
            ExtractedLicensingInfo(name, f"As the package states it: {text}") for name, text in sorted(texts.items())
        ],
    )
    return DocumentConverter().convert(whole)  # type: ignore[no-untyped-call]


def _creation(inventory: Inventory, subject: Subject) -> CreationInfo:
    unread = "\n".join(inventory.unread)
    return CreationInfo(
        "SPDX-2.3",
        _DOCUMENT,
        subject.title,
        f"https://spdx.org/spdxdocs/pybuild-{identity(inventory, subject)}",
        [Actor(ActorType.TOOL, f"pybuild-{__version__}")],
        datetime.fromtimestamp(subject.created, UTC).replace(tzinfo=None),
        document_comment=f"Not read, so that packages may be missing:\n{unread}" if unread else None,
    )


def _image(subject: Subject) -> Package:
    return Package(
        _IMAGE,
        subject.title,
        SpdxNoAssertion(),
        version=str(subject.image),
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, subject.image.hex)],
        external_references=[_purl(image_purl(name, subject.platform)) for name in subject.names],
        primary_package_purpose=PackagePurpose.CONTAINER,
    )


def _system(inventory: Inventory) -> Iterator[Package]:
    system = inventory.system
    if system.id:
        yield Package(
            _SYSTEM,
            system.id,
            SpdxNoAssertion(),
            version=system.version or None,
            files_analyzed=False,
            description=system.name or None,
            primary_package_purpose=PackagePurpose.OPERATING_SYSTEM,
        )


def _package(package: inventories.Package, url: str) -> tuple[Package, Stated | None]:
    license_ = stated(package.licenses)
    made = Package(
        f"SPDXRef-Package-{package.kind}-{_ID.sub('-', package.name)[:80]}-{Digest.of(url.encode()).hex[:16]}",
        package.full_name,
        SpdxNoAssertion(),
        version=package.version or None,
        supplier=_actor(package),
        files_analyzed=False,
        homepage=package.homepage if _WEB.match(package.homepage) and not validate_url(package.homepage) else None,
        source_info=f"told by /{package.place}{f', in layer {package.layer}' if package.layer else ''}",
        license_concluded=SpdxNoAssertion(),
        license_declared=licensing().parse(license_.expression) if license_ else SpdxNoAssertion(),
        copyright_text=SpdxNoAssertion(),
        external_references=[_purl(url)],
        primary_package_purpose=PackagePurpose.LIBRARY if package.kind in ("npm", "pypi") else None,
    )
    return made, license_


def _purl(url: str) -> ExternalPackageRef:
    return ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", url)


def _actor(package: inventories.Package) -> Actor | SpdxNoAssertion:
    if not package.supplier:
        return SpdxNoAssertion()
    kind = ActorType.ORGANIZATION if package.kind == "rpm" else ActorType.PERSON
    match = _ACTOR.fullmatch(package.supplier)
    if match:
        return Actor(kind, match[1], match[2])
    name = package.supplier
    if name.endswith(")") and not name.rpartition("(")[0].strip():
        name = name.strip("() ")  # SPDX would read all of it as an address
    return Actor(kind, name) if name else SpdxNoAssertion()
