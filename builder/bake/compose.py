"""Compose files as one tree: variables filled in, what is included and extended put in, several laid over each other.

What the services in it are built from is read in builder/bake/services.py; of all else only as much is looked at.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from builder.bake.interpolate import LookUp, interpolated
from builder.bake.values import MeaningError
from builder.bake.yamltree import OVERRIDE, RESET, Node, parse
from builder.errors import BuildfileError
from builder.lang.source import Source

# Mappings that may be written as a list of NAME=VALUE (or NAME:VALUE), by where they stand in a service.
_PAIRED = {
    "args": "=",
    "labels": "=",
    "additional_contexts": "=",
    "environment": "=",
    "extra_hosts": ":=",
    "ssh": "=",
}
_PARTS = ("services", "secrets")
# Of a service; all else is for who runs it.
_OF_SERVICE = ("build", "image", "environment", "env_file", "extends")
_MOST_FILES = 100


class Reading(Struct, frozen=True):
    """How what is outside is asked for: variables, and further files by path, which raise PybuildError."""

    look_up: LookUp
    read: Callable[[str], Source]


class Compose(Struct, frozen=True):
    """What all files say together: services and secrets by name; `missed` are variables that are not there."""

    services: Mapping[str, Node]
    secrets: Mapping[str, Node]
    missed: tuple[str, ...] = ()


def composed(sources: Sequence[Source], reading: Reading) -> Compose:
    """What `sources` say, in their order. Raises BuildfileError with the place."""
    loading = _Loading(reading)
    whole: dict[str, Node] = {}
    for source in sources:
        whole = _over(whole, loading.file(source, ()))
    return Compose(_items(whole, "services"), _items(whole, "secrets"), tuple(loading.missed))


def _items(whole: Mapping[str, Node], part: str) -> Mapping[str, Node]:
    return whole[part].mapping(part) if part in whole else {}


class _Loading:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._files = 0
        self.missed: dict[str, None] = {}

    def file(self, source: Source, path: tuple[str, ...]) -> dict[str, Node]:
        """The parts of a file that count, with what it includes; `path` are the files that led to it."""
        self._files += 1
        root = parse(source)
        if self._files > _MOST_FILES or source.name in path:
            raise root.error(f"{source.name} includes itself" if source.name in path else "these are too many files")
        parts = root.mapping("a compose file")
        found: dict[str, Node] = {}
        if "include" in parts:
            for other in parts["include"].items("include"):
                found = _over(found, self._included(other, (*path, source.name)))
        own = {name: self._filled(parts[name]) for name in _PARTS if name in parts}
        if "services" in own:
            services = own["services"].mapping("services")
            relevant = {name: _relevant(service) for name, service in services.items()}
            extended = {name: self._extended(name, relevant, source, ()) for name in relevant}
            own["services"] = replace(own["services"], value=extended)
        return _over(found, own)

    def _included(self, node: Node, path: tuple[str, ...]) -> dict[str, Node]:
        filled = self._filled(node)
        paths = [filled]
        if isinstance(filled.value, Mapping):
            said = filled.value.get("path", filled)
            paths = said.items("path") if isinstance(said.value, list) else [said]
        found: dict[str, Node] = {}
        for one in paths:
            name = posixpath.join(posixpath.dirname(path[-1]), one.text("a file that is included"))
            found = _over(found, self.file(self._read(name, one), path))
        directory = posixpath.dirname(paths[0].text("a file that is included"))
        return _moved(found, posixpath.normpath(directory)) if directory else found

    def _read(self, name: str, node: Node) -> Source:
        try:
            return self._reading.read(name)
        except Exception as error:
            if isinstance(error, BuildfileError) or not hasattr(error, "message"):
                raise
            raise node.error(str(error.message)) from None

    def _filled(self, node: Node) -> Node:
        """A tree with its variables filled in."""
        value = node.value
        if isinstance(value, str):
            try:
                return replace(node, value=interpolated(value, self._reading.look_up, self._miss))
            except MeaningError as error:
                raise node.error(error.message, error.hint) from None
        if isinstance(value, Mapping):
            return replace(node, value={name: self._filled(one) for name, one in value.items()})
        if isinstance(value, list):
            return replace(node, value=[self._filled(one) for one in value])
        return node

    def _miss(self, name: str) -> None:
        self.missed[name] = None

    def _extended(self, name: str, services: Mapping[str, Node], source: Source, path: tuple[str, ...]) -> Node:
        """A service over that which it extends."""
        service = services[name]
        parts = service.mapping("a service")
        if "extends" not in parts:
            return service
        said = parts["extends"]
        wanted = {"service": said} if isinstance(said.value, str) else said.mapping("extends")
        if "service" not in wanted:
            raise said.error("extends names a service")
        other, place = wanted["service"].text("a service's name"), f"{source.name} {name}"
        if place in path:
            raise said.error(f"the service {name} extends itself")
        below = self._below(other, wanted, services, source, (*path, place))
        own = replace(service, value={key: one for key, one in parts.items() if key != "extends"})
        return _laid(below, own, ())

    def _below(
        self,
        other: str,
        wanted: Mapping[str, Node],
        services: Mapping[str, Node],
        source: Source,
        path: tuple[str, ...],
    ) -> Node:
        if "file" in wanted:
            file = wanted["file"].text("a file's name")
            source = self._read(posixpath.join(posixpath.dirname(source.name), file), wanted["file"])
            parts = parse(source).mapping("a compose file")
            found = self._filled(parts["services"]).mapping("services") if "services" in parts else {}
            services = {name: _relevant(service) for name, service in found.items()}
        if other not in services:
            raise wanted["service"].error(f"{source.name} has no service {other}")
        below = self._extended(other, services, source, path)
        directory = posixpath.dirname(wanted["file"].text("a file's name")) if "file" in wanted else ""
        return _moved_service(below, posixpath.normpath(directory)) if directory else below


def _relevant(service: Node) -> Node:
    """A service with what says how it is built, in the long form."""
    parts = service.mapping("a service")
    kept = {name: parts[name] for name in _OF_SERVICE if name in parts}
    if "build" in kept and isinstance(kept["build"].value, str):
        kept["build"] = replace(kept["build"], value={"context": kept["build"]})
    return replace(service, value=kept)


# --- laid over each other ------------------------------------------------------------------------


def _over(below: Mapping[str, Node], above: Mapping[str, Node]) -> dict[str, Node]:
    found = dict(below)
    for name, node in above.items():
        found[name] = _laid(found[name], node, (name,)) if name in found else node
    return found


def _laid(below: Node, above: Node, path: tuple[str, ...]) -> Node:
    """What two files say of one thing: names are merged, lists added, all else stands for what there was."""
    if above.tag == RESET:
        return replace(above, value=None, tag="")
    if above.tag == OVERRIDE or below.value is None:
        return replace(above, tag="")
    if above.value is None:
        return below
    name = path[-1] if path else ""
    if name in _PAIRED and len(path) > 1:
        below, above = as_mapping(below, name), as_mapping(above, name)
    if name == "build":
        below, above = (replace(n, value={"context": n}) if isinstance(n.value, str) else n for n in (below, above))
    if isinstance(below.value, Mapping) and isinstance(above.value, Mapping):
        both: dict[str, Any] = dict(below.value)
        for key, node in above.value.items():
            both[key] = _laid(both[key], node, (*path, key)) if key in both else node
        return replace(above, value={key: one for key, one in both.items() if one.tag != RESET})
    if isinstance(below.value, list) and isinstance(above.value, list):
        known = [_plain(one) for one in below.value]
        return replace(above, value=[*below.value, *(one for one in above.value if _plain(one) not in known)])
    return above


def _plain(node: Node) -> Any:
    if isinstance(node.value, Mapping):
        return {name: _plain(one) for name, one in node.value.items()}
    return [_plain(one) for one in node.value] if isinstance(node.value, list) else node.value


def as_mapping(node: Node, name: str) -> Node:
    """What may be a list of NAME=VALUE as a mapping; a name alone has None. Raises BuildfileError."""
    if not isinstance(node.value, list):
        return node
    found: dict[str, Node] = {}
    for item in node.value:
        text = item.text(f"each of {name}")
        place = min((at for at in map(text.find, _PAIRED[name]) if at >= 0), default=-1)
        key, value = (text, None) if place < 0 else (text[:place], text[place + 1 :])
        found[key] = replace(item, value=value)
    return replace(node, value=found)


# --- other directories ---------------------------------------------------------------------------


def _moved(parts: Mapping[str, Node], directory: str) -> dict[str, Node]:
    """What a file in another directory says, with its paths from here."""
    found = dict(parts)
    if "services" in found:
        services = found["services"].mapping("services")
        moved = {name: _moved_service(one, directory) for name, one in services.items()}
        found["services"] = replace(found["services"], value=moved)
    if "secrets" in found:
        secrets = found["secrets"].mapping("secrets")
        moved = {name: _changed(one, "file", directory) for name, one in secrets.items()}
        found["secrets"] = replace(found["secrets"], value=moved)
    return found


def _moved_service(service: Node, directory: str) -> Node:
    parts = service.mapping("a service")
    if "build" not in parts:
        return service
    build = _changed(parts["build"], "context", directory)
    inner = build.mapping("build")
    if "additional_contexts" in inner:
        contexts = as_mapping(inner["additional_contexts"], "additional_contexts")
        moved = {name: _joined(one, directory) for name, one in contexts.mapping("additional_contexts").items()}
        build = replace(build, value={**inner, "additional_contexts": replace(contexts, value=moved)})
    return replace(service, value={**parts, "build": build})


def _changed(node: Node, key: str, directory: str) -> Node:
    parts = node.mapping(key)
    return replace(node, value={**parts, key: _joined(parts[key], directory)}) if key in parts else node


def _joined(node: Node, directory: str) -> Node:
    if not isinstance(node.value, str) or not is_path(node.value):
        return node
    return replace(node, value=posixpath.join(directory, node.value))


def is_path(value: str) -> bool:
    """Whether a context is a directory, and no image, target, service or URL."""
    return "://" not in value and not value.startswith(("service:", "target:", "docker-image:", "git@", "github.com/"))
