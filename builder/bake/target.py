"""Targets and groups as a bake file says them: what keys there are, how they are read, and how targets are merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from builder.bake import entries
from builder.bake.values import MeaningError, Value, to_bool, to_list, to_number, to_object, to_string
from builder.image import pulling


class Key(Struct, frozen=True):
    """How a key of a target is read, and what becomes of it when another target is laid over: see MERGES."""

    read: Callable[[Value], Any]
    merge: str = "over"


def _strings(value: Value) -> list[str]:
    return [to_string(one) for one in to_list(value) if one is not None]


def _flag(value: Value) -> bool:
    """A truth value; 1 and 0 are, too (`no-cache = 1`)."""
    return bool(value) if value in (0, 1) else to_bool(value)


def _pull(value: Value) -> bool | str:
    """A truth value, as buildx has it, or a policy of --pull."""
    return value if isinstance(value, str) and value in pulling.POLICIES else _flag(value)


def _pairs(value: Value) -> dict[str, str | None]:
    return {key: None if one is None else to_string(one) for key, one in to_object(value).items()}


# Limits of steps, as --memory, --cpu-shares and so on: those that are text, and those that are numbers.
_LIMITS: Mapping[str, Callable[[Value], Any]] = {
    "memory": to_string,
    "memory-swap": to_string,
    "cpu-shares": to_number,
    "cpu-period": to_number,
    "cpu-quota": to_number,
    "cpuset-cpus": to_string,
    "cpuset-mems": to_string,
}


def _limits(value: Value) -> dict[str, Any]:
    given = to_object(value)
    unknown = sorted(set(given) - set(_LIMITS))
    if unknown:
        raise MeaningError(f"{unknown[0]!r} is no limit", f"there are {', '.join(_LIMITS)}")
    return {name: read(given[name]) for name, read in _LIMITS.items() if given.get(name) is not None}


def _entries(key: str) -> Callable[[Value], list[entries.Entry]]:
    def read(value: Value) -> list[entries.Entry]:
        return entries.merged(key, entries.read(key, to_list(value)))

    return read


# In the order in which --print shows them. What has `more` is added to what there was; in `pairs`, each name counts
# alone, and null leaves what there was.
KEYS: Mapping[str, Key] = {
    "description": Key(to_string),
    "inherits": Key(_strings, "more"),
    "annotations": Key(_strings, "more"),
    "attest": Key(_entries("attest"), "entries"),
    "context": Key(to_string),
    "contexts": Key(_pairs, "pairs"),
    "dockerfile": Key(to_string),
    "dockerfile-inline": Key(to_string),
    "args": Key(_pairs, "pairs"),
    "labels": Key(_pairs, "pairs"),
    "tags": Key(_strings),
    "cache-from": Key(_entries("cache-from"), "entries"),
    "cache-to": Key(_entries("cache-to")),
    "target": Key(to_string),
    "secret": Key(_entries("secret"), "entries"),
    "ssh": Key(_entries("ssh"), "entries"),
    "platforms": Key(_strings),
    "output": Key(_entries("output")),
    "pull": Key(_pull),
    "no-cache": Key(_flag),
    "network": Key(to_string),
    "no-cache-filter": Key(_strings, "more"),
    "shm-size": Key(to_string),
    "ulimits": Key(_strings, "more"),
    "resources": Key(_limits, "pairs"),
    "call": Key(to_string),
    "entitlements": Key(_strings, "more"),
    "extra-hosts": Key(_pairs, "pairs"),
}
DOCKERFILE = "Dockerfile"
# What `--print` escapes, so that it can be read again.
_ESCAPED = ("annotations", "dockerfile-inline", "labels", "args", "extra-hosts")
STRINGS = ("annotations", "tags", "platforms", "no-cache-filter", "ulimits", "entitlements")


class Group(Struct, frozen=True):
    """Targets and groups under one name."""

    name: str
    targets: tuple[str, ...] = ()
    description: str = ""


class Target(Struct, frozen=True):
    """What is built, by the keys of KEYS that are said. `linked`: others need it, and nobody asked for it."""

    name: str
    given: Mapping[str, Any]
    linked: bool = False

    def get(self, key: str, default: Any = None) -> Any:
        """What it says of `key`, a name of KEYS."""
        assert key in KEYS
        return self.given.get(key, default)

    def over(self, **changes: Any) -> Target:
        """With other values; `_` stands for `-`."""
        return replace(self, given={**self.given, **{key.replace("_", "-"): one for key, one in changes.items()}})


def merged(below: Target, above: Target) -> Target:
    """`below` with what `above` says laid over it."""
    given = dict(below.given)
    for key, value in above.given.items():
        before = given.get(key)
        match KEYS[key].merge:
            case "more" if before is not None:
                given[key] = [*before, *value]
            case "entries" if before is not None:
                given[key] = entries.merged(key, [*before, *value])
            case "pairs":
                given[key] = {**(before or {}), **{name: one for name, one in value.items() if one is not None}}
            case _:
                given[key] = value
    return replace(below, given=given)


def normalized(target: Target) -> Target:
    """Without doubles and empty texts; what builds on the host's network is granted that."""
    given = dict(target.given)
    if given.get("network") == "host":
        given["entitlements"] = [*given.get("entitlements", ()), "network.host"]
    for key in STRINGS:
        if key in given:
            given[key] = list(dict.fromkeys(one for one in given[key] if one))
    if "contexts" in given:
        given["contexts"] = {name: one for name, one in given["contexts"].items() if one}
    return replace(target, given=given)


def read(key: str, value: Value) -> Any:
    """`value` as that of `key`; None for null. Raises MeaningError."""
    if value is None:
        return None
    try:
        return KEYS[key].read(value)
    except MeaningError as error:
        raise MeaningError(f"{key}: {error.message}", error.hint) from None


def document(targets: Mapping[str, Target], groups: Mapping[str, Group]) -> dict[str, Any]:
    """What `--print` shows, as buildx does: a bake file that says the same with nothing left to evaluate."""
    found: dict[str, Any] = {}
    if groups:
        found["group"] = {name: _group(groups[name]) for name in sorted(groups)}
    return {**found, "target": {name: _target(targets[name]) for name in sorted(targets)}}


def _group(group: Group) -> dict[str, Any]:
    said = {"description": group.description} if group.description else {}
    return {**said, "targets": list(group.targets)}


def _target(target: Target) -> dict[str, Any]:
    said = {**target.given, "context": target.get("context", "."), "dockerfile": target.get("dockerfile") or DOCKERFILE}
    shown = {key: _shown(key, said[key]) for key in KEYS if key in said and key != "inherits"}
    return {key: one for key, one in shown.items() if one not in ([], {}) and (key != "description" or one)}


def _shown(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        names = _LIMITS if key == "resources" else sorted(value)
        return {name: _escaped(key, value[name]) for name in names if value.get(name) is not None}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_escaped(key, one) for one in value]
    return _escaped(key, value)


def _escaped(key: str, value: Any) -> Any:
    if key not in _ESCAPED or not isinstance(value, str):
        return value
    return value.replace("${", "$${").replace("%{", "%%{")
