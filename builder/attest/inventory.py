"""`Inventory`: what package managers and languages have noted down in an image, in no format of others."""

from __future__ import annotations

import re

from msgspec import Struct

from builder.errors import BadInputError

# More than any image has that is meant to be looked through. Documents of so many take minutes.
MOST_PACKAGES = 100_000
_MOST_UNREAD = 100
# What names of packages are made of, whatever manages them.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~!'()*-]*|[._][A-Za-z0-9._-]*[A-Za-z0-9]")


class Package(Struct, frozen=True, order=True):
    """One package.

    `kind` is its type as purl has it (deb, apk, rpm, pypi, npm). Empty fields are not stated. `version` is as its
    manager writes it, without an rpm's `epoch`. `namespace` is an npm package's scope; `licenses` are as stated.
    `source` and `source_version` are those of the source package; `place` is the file that told of it, `layer` the diff
    ID of the layer that has it: the one that installed the package, where each has a file of its own.
    """

    kind: str
    name: str
    version: str
    architecture: str = ""
    namespace: str = ""
    epoch: str = ""
    source: str = ""
    source_version: str = ""
    licenses: tuple[str, ...] = ()
    supplier: str = ""
    homepage: str = ""
    place: str = ""
    layer: str = ""

    @property
    def full_name(self) -> str:
        """With the scope of an npm package."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def full_version(self) -> str:
        """With the epoch of an rpm, as `rpm -qa` can show it."""
        return f"{self.epoch}:{self.version}" if self.epoch else self.version


class System(Struct, frozen=True):
    """What /etc/os-release says: ID, VERSION_ID, PRETTY_NAME. Empty for an image without."""

    id: str = ""
    version: str = ""
    name: str = ""


class Inventory(Struct, frozen=True):
    """All that was found, packages sorted; `unread` are sentences about what could not be read."""

    system: System = System()
    packages: tuple[Package, ...] = ()
    unread: tuple[str, ...] = ()


class Gathering:
    """An inventory that grows."""

    def __init__(self) -> None:
        self.system = System()
        self._packages: list[Package] = []
        self.unread: list[str] = []

    @property
    def full(self) -> bool:
        """Whether there can be no more."""
        return len(self._packages) >= MOST_PACKAGES

    def add(self, package: Package) -> None:
        """One more; one whose name cannot be is told of. Raises BadInputError for more than MOST_PACKAGES."""
        if self.full:
            raise BadInputError(f"the image tells of more than {MOST_PACKAGES} packages", hint="no list is made of it")
        if _NAME.fullmatch(package.name):
            self._packages.append(package)
        else:
            self.skipped(package.place, f"it has an entry without a usable name: {package.name[:100]!r}")

    def skipped(self, place: str, why: str) -> None:
        """Tell of something that is not read."""
        if len(self.unread) < _MOST_UNREAD:
            self.unread.append(f"/{place}: {why}")
        elif len(self.unread) == _MOST_UNREAD:
            self.unread.append("~ and more")  # the last when sorted

    def inventory(self) -> Inventory:
        """What there is by now. A package that several files tell of alike is there once."""
        return Inventory(self.system, tuple(sorted(_once(self._packages))), tuple(sorted(self.unread)))


def _once(packages: list[Package]) -> list[Package]:
    found: dict[tuple[str, ...], Package] = {}
    for package in sorted(packages):
        key = (package.kind, package.namespace, package.name, package.epoch, package.version, package.architecture)
        # Installed npm packages come before what a lock file tells of them: they know more.
        known = found.get(key)
        if known is None or (package.licenses and not known.licenses):
            found[key] = package
    return list(found.values())
