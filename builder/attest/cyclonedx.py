"""An inventory as a CycloneDX 1.6 document (cyclonedx-python-lib): the same image gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import License, LicenseExpression
from cyclonedx.schema.schema import SchemaVersion1Dot6
from packageurl import PackageURL

from builder.attest import inventory as inventories
from builder.attest.inventory import Inventory
from builder.attest.licenses import stated
from builder.attest.purl import listed
from builder.attest.subject import Subject, identity, image_purl
from builder.version import __version__

_IMAGE = "image"


def document(inventory: Inventory, subject: Subject) -> dict[str, Any]:
    """The document, as plain data in the order of its JSON form.

    The library writes its parts; the whole is put together here, as its own `Bom` compares each with all others.
    """
    metadata = BomMetaData(
        component=_image(subject),
        timestamp=datetime.fromtimestamp(subject.created, UTC),
        properties=[Property(name="pybuild:unread", value=text) for text in inventory.unread],
    )
    metadata.tools.components.add(Component(name="pybuild", version=__version__, type=ComponentType.APPLICATION))
    components = [_written(part) for part in _components(inventory)]  # one at a time: the library's take 20 kB each
    refs = sorted(component["bom-ref"] for component in components)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": identity(inventory, subject).urn,
        "version": 1,
        "metadata": _written(metadata),
        "components": components,
        "dependencies": [{"ref": _IMAGE, "dependsOn": refs}, *({"ref": ref} for ref in refs)],
    }


def _written(part: Any) -> dict[str, Any]:
    # the serializer gives its classes this method when they are decorated, out of sight of type checkers
    return msgspec.json.decode(part.as_json(view_=SchemaVersion1Dot6))  # type: ignore[no-any-return]


def _image(subject: Subject) -> Component:
    return Component(
        name=subject.title,
        version=str(subject.image),
        type=ComponentType.CONTAINER,
        bom_ref=_IMAGE,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=subject.image.hex)],
        purl=PackageURL.from_string(image_purl(subject.names[0], subject.platform)) if subject.names else None,
    )


def _components(inventory: Inventory) -> Iterator[Component]:
    yield from _system(inventory)
    for package, url in listed(inventory):
        yield _component(package, url)


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
        properties=[
            Property(name="pybuild:place", value=f"/{package.place}"),
            *([Property(name="pybuild:layer", value=package.layer)] if package.layer else []),
        ],
    )


def _license(expression: str) -> License:
    # The library's factory takes what has references for a name, though an expression may have them.
    if "LicenseRef-" in expression:
        return LicenseExpression(expression)
    return LicenseFactory().make_from_string(expression)
