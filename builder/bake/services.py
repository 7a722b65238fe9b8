"""Services of compose files as targets."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from builder.bake import entries
from builder.bake.compose import Compose, as_mapping, is_path
from builder.bake.definitions import Config
from builder.bake.interpolate import LookUp
from builder.bake.shape import NAME
from builder.bake.target import Group, Target, read
from builder.bake.values import MeaningError
from builder.bake.yamltree import Node
from builder.errors import alike
from builder.lang.sizes import parse_size

_DEFAULT = "default"
# What compose says of a build that has no meaning here: there is one kind of isolation.
_WITHOUT = ("isolation", "privileged")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
# Of x-bake: key → the key of a target, and whether it is added to what the service says.
_EXTENSION: Mapping[str, tuple[str, bool]] = {
    "tags": ("tags", True),
    "cache-from": ("cache-from", True),
    "cache-to": ("cache-to", True),
    "secret": ("secret", True),
    "ssh": ("ssh", True),
    "platforms": ("platforms", True),
    "output": ("output", True),
    "pull": ("pull", False),
    "no-cache": ("no-cache", False),
    "no-cache-filter": ("no-cache-filter", True),
    "contexts": ("contexts", True),
}


def config_of(compose: Compose, look_up: LookUp, variables: Callable[[Node], Mapping[str, str]]) -> Config:
    """The targets of the services that are built, and the group of all of them.

    `variables` reads a file of variables that a node names. Raises BuildfileError with the place.
    """
    targets: dict[str, Target] = {}
    for name, service in compose.services.items():
        parts = service.mapping("a service")
        if "build" not in parts and "image" not in parts:
            raise service.error(f"the service {name} has neither a build nor an image")
        if "build" in parts:
            target = _Service(name, service, compose, look_up, variables).target()
            targets[target.name] = target
    groups = {_DEFAULT: Group(_DEFAULT, tuple(sorted(targets)))} if targets else {}
    hint = "is not set, and so is empty; a $$ would be a $ of the text"
    return Config(groups, targets, warnings=tuple(f"the variable {name} {hint}" for name in compose.missed))


def called(name: str) -> str:
    """The name of a target for a service, as buildx has it: a dot is none of its letters."""
    return name.replace(".", "_")


class _Service:
    def __init__(
        self,
        name: str,
        service: Node,
        compose: Compose,
        look_up: LookUp,
        variables: Callable[[Node], Mapping[str, str]],
    ) -> None:
        self.name, self.service, self.compose = name, service, compose
        self.look_up, self.variables = look_up, variables
        self.parts = service.mapping("a service")
        self.build = self.parts["build"].mapping("build")

    def target(self) -> Target:
        name = called(self.name)
        if not NAME.fullmatch(name):
            raise self.service.error(f"{self.name!r} is no name of a target", "letters, digits, _, - and . make a name")
        said: dict[str, Any] = {}
        for key, node in self.build.items():
            if key.startswith("x-") or key in _WITHOUT or node.value is None:
                continue
            if key not in _KEYS:
                close = alike(key, _KEYS)
                raise node.error(f"a build has no {key}", f"did you mean {close}?" if close else None)
            self._say(said, key, node)
        if not said.get("tags") and self.parts.get("image") is not None:
            said["tags"] = [self.parts["image"].text("image")]
        self._extension(said)
        return Target(name, {key: value for key, value in said.items() if value not in ([], {})})

    def _say(self, said: dict[str, Any], key: str, node: Node) -> None:
        try:
            where, value = _KEYS[key](self, node)
            found = read(where, value)
        except MeaningError as error:
            raise node.error(error.message, error.hint) from None
        said[where] = [*said.get(where, []), *found] if where == "attest" else found

    # --- keys of a build -------------------------------------------------------------------------

    def arguments(self, node: Node) -> tuple[str, Any]:
        """Those without a value take it from the service's environment, or from that of the program."""
        found = {}
        for name, one in as_mapping(node, "args").mapping("args").items():
            value = self._variable(name) if one.value is None else one.text(f"args.{name}")
            if value is not None:
                found[name] = value
        return "args", found

    def _variable(self, name: str) -> str | None:
        own = self.parts.get("environment")
        if own is not None:
            value = as_mapping(own, "environment").mapping("environment").get(name)
            if value is not None and value.value is not None:
                return value.text(name)
        files = self.parts.get("env_file")
        for node in reversed(_listed(files)) if files is not None else ():
            found = self.variables(node)
            if name in found:
                return found[name]
        return self.look_up(name)

    def contexts(self, node: Node) -> tuple[str, Any]:
        """Directories, images, and other services."""
        pairs = as_mapping(node, "additional_contexts").mapping("additional_contexts")
        return "contexts", {name: _context(one.text(name)) for name, one in pairs.items()}

    def secrets(self, node: Node) -> tuple[str, Any]:
        """Secrets by name, which stand at the top of the file."""
        found = []
        for one in node.items("secrets"):
            source = one.value.get("source") if isinstance(one.value, Mapping) else one
            name = (source or one).text("a secret's name")
            if name not in self.compose.secrets:
                raise one.error(f"there is no secret {name}", "it is to stand under secrets: of the file")
            found.append({"id": name, **_secret(name, self.compose.secrets[name])})
        return "secret", found

    def agents(self, node: Node) -> tuple[str, Any]:
        """SSH agents, in order of their names."""
        pairs = as_mapping(node, "ssh").mapping("ssh") if not isinstance(node.value, str) else {node.value: node}
        texts = [name if one.value in (None, name) else f"{name}={one.text(name)}" for name, one in pairs.items()]
        return "ssh", sorted(texts)

    # --- x-bake ----------------------------------------------------------------------------------

    def _extension(self, said: dict[str, Any]) -> None:
        node = self.build.get("x-bake")
        if node is None:
            return
        for key, value in node.mapping("x-bake").items():
            if key not in _EXTENSION:
                raise value.error(f"x-bake has no {key}", f"there are {', '.join(_EXTENSION)}")
            where, more = _EXTENSION[key]
            try:
                found = read(where, _extended(key, value))
            except MeaningError as error:
                raise value.error(error.message, error.hint) from None
            if not more or where not in said:
                said[where] = found
            elif where == "contexts":
                said[where] = {**found, **said[where]}
            else:
                both = [*said[where], *found]
                said[where] = entries.merged(where, both) if where in entries.READERS else list(dict.fromkeys(both))
        if "ssh" in said:
            said["ssh"] = sorted(said["ssh"], key=lambda entry: (entry["id"], entry.get("paths", [])))


Take = Callable[[_Service, Node], tuple[str, Any]]


def _text(key: str) -> Take:
    return lambda service, node: (key, node.text(key))


def _path(key: str) -> Take:
    return lambda service, node: (key, _context(node.text(key)))


def _truth(key: str) -> Take:
    return lambda service, node: (key, True if node.truth(key) else None)


def _texts(key: str) -> Take:
    return lambda service, node: (key, [one.text(key) for one in node.items(key)])


def _pairs(key: str, written: str) -> Take:
    def take(service: _Service, node: Node) -> tuple[str, Any]:
        pairs = as_mapping(node, written).mapping(written)
        return key, {name: "" if one.value is None else _several(one, name) for name, one in pairs.items()}

    return take


def _several(node: Node, name: str) -> str:
    return ",".join(one.text(name) for one in node.value) if isinstance(node.value, list) else node.text(name)


def _attest(kind: str) -> Take:
    return lambda service, node: ("attest", [entries.canonical_attest(kind, node.text(kind))])


def _limits(service: _Service, node: Node) -> tuple[str, Any]:
    found = []
    for name, one in node.mapping("ulimits").items():
        parts = one.value if isinstance(one.value, Mapping) else {"soft": one, "hard": one}
        soft, hard = (parts[key].text(key) if key in parts else "0" for key in ("soft", "hard"))
        found.append(f"{name}={soft}:{hard}")
    return "ulimits", found


def _shared_memory(service: _Service, node: Node) -> tuple[str, Any]:
    size = parse_size(node.text("shm_size"))
    if size is None:
        raise node.error(f"{node.value} is no size", "a number with b, k, m or g, such as 128m")
    return "shm-size", _size(size)


_KEYS: Mapping[str, Take] = {
    "context": _path("context"),
    "dockerfile": _text("dockerfile"),
    "dockerfile_inline": _text("dockerfile-inline"),
    "args": _Service.arguments,
    "target": _text("target"),
    "tags": _texts("tags"),
    "labels": _pairs("labels", "labels"),
    "cache_from": _texts("cache-from"),
    "cache_to": _texts("cache-to"),
    "platforms": _texts("platforms"),
    "secrets": _Service.secrets,
    "ssh": _Service.agents,
    "network": _text("network"),
    "no_cache": _truth("no-cache"),
    "no_cache_filter": lambda service, node: ("no-cache-filter", [one.text("a stage") for one in _listed(node)]),
    "pull": _truth("pull"),
    "extra_hosts": _pairs("extra-hosts", "extra_hosts"),
    "shm_size": _shared_memory,
    "ulimits": _limits,
    "additional_contexts": _Service.contexts,
    "entitlements": _texts("entitlements"),
    "provenance": _attest("provenance"),
    "sbom": _attest("sbom"),
}


def _listed(node: Node) -> list[Node]:
    return node.items("a list") if isinstance(node.value, list) else [node]


def _context(value: str) -> str:
    if value.startswith(("service:", "target:")):
        return "target:" + called(value.partition(":")[2])
    return posixpath.normpath(value) if is_path(value) and value else value


def _secret(name: str, node: Node) -> dict[str, str]:
    parts = node.mapping(f"the secret {name}")
    if parts.get("external") is not None and parts["external"].value not in (False, None):
        raise node.error(f"the secret {name} is external, and nothing here knows it")
    if "file" in parts:
        return {"src": parts["file"].text("file")}
    if "environment" in parts:
        return {"env": parts["environment"].text("environment")}
    raise node.error(f"the secret {name} says not where it is", "it has a file or an environment")


def _extended(key: str, node: Node) -> Any:
    """The value of a key of x-bake: lists may be words in one text."""
    if key in ("pull", "no-cache"):
        return node.truth(key)
    if key == "contexts":
        return {name: _context(one.text(name)) for name, one in node.mapping(key).items()}
    if isinstance(node.value, list):
        return [one.text(key) for one in node.value]
    return node.text(key).split()


def _size(size: int) -> str:
    """Bytes as units.BytesSize of Docker writes them: `128MiB`."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.4g}{_UNITS[unit]}"
