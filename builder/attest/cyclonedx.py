"""An inventory as a CycloneDX 1.6 document (cyclonedx-python-lib): the same image gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import License, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from builder.attest import inventory as inventories
from builder.attest.inventory import Inventory
from builder.attest.licenses import stated
from builder.attest.purl import listed
from builder.attest.subject import Subject, identity, image_purl
from builder.version import __version__


def document(inventory: Inventory, subject: Subject) -> dict[str, Any]:
    """The document, as plain data in the order of its JSON form."""
    image = _image(subject)
    components = [*_system(inventory), *(_component(package, url) for package, url in listed(inventory))]
    bom = Bom(
        components=components,
        serial_number=identity(inventory, subject),
        metadata=BomMetaData(
            component=image,
            timestamp=datetime.fromtimestamp(subject.created, UTC),
            properties=[Property(name="pybuild:unread", value=text) for text in inventory.unread],
        ),
    )
    bom.metadata.tools.components.add(Component(name="pybuild", version=__version__, type=ComponentType.APPLICATION))
    bom.register_dependency(image, components)
    return msgspec.json.decode(JsonV1Dot6(bom).output_as_string())  # type: ignore[no-any-return]


def _image(subject: Subject) -> Component:
    return Component(
        name=subject.title,
        version=str(subject.image),
        type=ComponentType.CONTAINER,
        bom_ref="image",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=subject.image.hex)],
        purl=PackageURL.from_string(image_purl(subject.names[0], subject.platform)) if subject.names else None,
    )


def _system(inventory: Inventory) -> Iterator[Component]:
    system = inventory.system
    if system.id:
        yield Component(
            name=system.id,
            version=system.version or None,
            type=ComponentType.OPERATING_SYSTEM,
            bom_ref="operating-system",
            description=system.name or None,
        )


def _component(package: inventories.Package, url: str) -> Component:
    license_ = stated(package.licenses)
    return Component(
        name=package.name,
        group=package.namespace or None,
        version=package.version or None,
        type=ComponentType.LIBRARY,
        bom_ref=url,
        purl=PackageURL.from_string(url),
        supplier=OrganizationalEntity(name=package.supplier) if package.supplier else None,
        licenses=[_license(license_.expression)] if license_ else None,
        properties=[Property(name="pybuild:place", value=f"/{package.place}")],
    )


def _license(expression: str) -> License:
    # The library's factory takes what has references for a name, though an expression may have them.
    if "LicenseRef-" in expression:
        return LicenseExpression(expression)
    return LicenseFactory().make_from_string(expression)
