"""Installed npm packages: `package.json` in node_modules; and package-lock.json, versions 1 to 3 (npm's docs)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct, field

from builder.attest.inventory import Gathering, Package
from builder.attest.text import clean
from builder.readied import readied

_MODULES = "node_modules/"
_MOST_NESTED = 50


class _Manifest(Struct):
    name: Any = None
    version: Any = None
    license: Any = None
    licenses: Any = None
    homepage: Any = None


class _Locked(Struct):
    name: Any = None
    version: Any = None
    license: Any = None
    link: bool = False
    dependencies: dict[str, Any] = field(default_factory=dict)


class _Lock(Struct):
    packages: dict[str, _Locked] | None = None
    dependencies: dict[str, Any] = field(default_factory=dict)


def read_package(data: bytes, place: str, gathering: Gathering) -> None:
    """The package of a package.json. One without a name and version is part of another package."""
    try:
        found = msgspec.json.decode(data, type=readied(_Manifest))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        gathering.skipped(place, "it is not JSON as npm has it")
        return
    if isinstance(found.name, str) and isinstance(found.version, str) and found.name:
        homepage = clean(found.homepage) if isinstance(found.homepage, str) else ""
        stated = found.licenses if isinstance(found.licenses, list) else [found.license]
        gathering.add(_package(found.name, found.version, stated, place, homepage))


def read_lock(data: bytes, place: str, gathering: Gathering) -> None:
    """The packages a package-lock.json names, but for what it is the lock of, and links to directories."""
    try:
        lock = msgspec.json.decode(data, type=readied(_Lock))
        locked = _of_packages(lock.packages) if lock.packages is not None else _of_tree(lock.dependencies, 0)
        for name, found in locked:
            if isinstance(found.version, str):
                gathering.add(_package(name, found.version, [found.license], place))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        gathering.skipped(place, "it is no package-lock.json that can be read")


def _of_packages(packages: dict[str, _Locked]) -> Iterator[tuple[str, _Locked]]:
    for path, found in packages.items():
        if _MODULES in path and not found.link:
            name = found.name if isinstance(found.name, str) and found.name else path.rpartition(_MODULES)[2]
            yield name, found


def _of_tree(dependencies: dict[str, Any], depth: int) -> Iterator[tuple[str, _Locked]]:
    for name, value in dependencies.items():
        found = msgspec.convert(value, readied(_Locked))
        yield name, found
        if depth < _MOST_NESTED:
            yield from _of_tree(found.dependencies, depth + 1)


def _package(name: str, version: str, stated: list[Any], place: str, homepage: str = "") -> Package:
    scope, slash, rest = name.partition("/") if name.startswith("@") else ("", "", name)
    licenses = [s.get("type") if isinstance(s, dict) else s for s in stated]
    return Package(
        "npm",
        clean(rest if slash or not scope else name),
        clean(version),
        namespace=clean(scope) if slash else "",
        licenses=tuple(clean(text) for text in licenses if isinstance(text, str) and text),
        homepage=homepage,
        place=place,
    )
