"""Package URLs: one name for a package of any manager (package-url/purl-spec, purl-types)."""

from __future__ import annotations

from collections.abc import Iterator

from packageurl import PackageURL

from builder.attest.inventory import Inventory, Package, System

# Of images that do not say whose system they are.
_VENDORS = {"deb": "debian", "apk": "alpine"}


def listed(inventory: Inventory) -> Iterator[tuple[Package, str]]:
    """The packages with their URLs, each URL once: types have spellings of a name that mean the same."""
    told: set[str] = set()
    for package in inventory.packages:
        url = purl(package, inventory.system).to_string()
        if url not in told:
            told.add(url)
            yield package, url


def purl(package: Package, system: System) -> PackageURL:
    """The URL of a package of a system."""
    if package.kind not in ("deb", "apk", "rpm"):
        return PackageURL(package.kind, package.namespace or None, package.name, package.version or None)
    vendor = system.id or _VENDORS.get(package.kind)
    distro = "-".join(filter(None, (system.id, system.version)))
    qualifiers = {
        "arch": package.architecture,
        "epoch": package.epoch,
        "distro": distro,
        "upstream": _upstream(package),
    }
    stated = {name: value for name, value in qualifiers.items() if value and value != "0"}
    return PackageURL(package.kind, vendor, package.name, package.version or None, stated)


def _upstream(package: Package) -> str:
    """The source package where it is another: scanners look for its vulnerabilities."""
    if not package.source or package.source == package.name:
        return ""
    return f"{package.source}@{package.source_version}" if package.source_version else package.source
