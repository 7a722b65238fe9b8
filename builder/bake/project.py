"""Which targets are meant: groups opened, what targets inherit merged, what they need of each other found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from builder.bake.definitions import Config
from builder.bake.overrides import Override, applied, by_target, matching
from builder.bake.target import Group, Target, merged, normalized
from builder.errors import ALIKE, NotFoundError, UsageError, suggestion

DEFAULT = "default"
TARGET = "target:"


class Project(Struct, frozen=True):
    """What is to be built: targets by name, those that others need among them, and the groups that were named."""

    targets: Mapping[str, Target]
    groups: Mapping[str, Group]

    def needs(self, name: str) -> list[str]:
        """The targets whose results are contexts of this one."""
        contexts = self.targets[name].get("contexts", {})
        return [value.removeprefix(TARGET) for value in contexts.values() if value.startswith(TARGET)]


def chosen(config: Config, names: Sequence[str], overrides: Sequence[Override] = ()) -> Project:
    """The targets that `names` stand for: targets, groups, patterns of them; none for the group or target default.

    Raises NotFoundError for a name that nothing has, UsageError for circles.
    """
    try:
        return _Choosing(config, overrides).project(names or (DEFAULT,))
    except RecursionError:
        raise UsageError("targets need each other more deeply than can be followed") from None


class _Choosing:
    def __init__(self, config: Config, overrides: Sequence[Override]) -> None:
        self._config = config
        self._overrides = by_target(overrides, list(config.targets))
        self._resolved: dict[str, Target] = {}

    def project(self, names: Iterable[str]) -> Project:
        wanted = list(dict.fromkeys(found for name in names for found in self._meant(name)))
        targets: dict[str, Target] = {}
        groups: dict[str, Group] = {}
        for name in wanted:
            self._open(name, (), targets, groups)
        self._default(wanted, groups)
        for name in list(targets):
            self._link(name, (), targets)
        return Project(targets, groups)

    def _meant(self, name: str) -> list[str]:
        """The names that a word of the command line stands for."""
        name = name.replace(".", "_")  # as services of compose files are called here
        if not any(mark in name for mark in "*?["):
            return [name]
        found = matching(name, (*self._config.groups, *self._config.targets))
        if not found:
            raise NotFoundError(f"no target is called {name}", hint=self._known(name))
        return found

    def _known(self, name: str) -> str:
        known = [*self._config.targets, *self._config.groups]
        return suggestion(name, known, f"there are {', '.join(sorted(set(known)) or ('none',))}", ALIKE)

    def _open(self, name: str, path: tuple[str, ...], targets: dict[str, Target], groups: dict[str, Group]) -> None:
        group = self._config.groups.get(name)
        if name in path and group is not None:
            raise UsageError(f"the group {name} is in itself: {' → '.join((*path[path.index(name) :], name))}")
        if group is None:
            targets.setdefault(name, self._resolve(name, path))
            return
        groups[name] = group
        for inner in group.targets:
            # A group may have a target of its own name.
            if inner == name and inner in self._config.targets:
                targets.setdefault(name, self._resolve(name, path))
            else:
                self._open(inner, (*path, name), targets, groups)

    def _default(self, wanted: list[str], groups: dict[str, Group]) -> None:
        """The group default of what is built: what was asked for."""
        asked = [name for name in wanted if not (name == DEFAULT and DEFAULT in groups)]
        if asked:
            before = groups.get(DEFAULT, Group(DEFAULT))
            groups[DEFAULT] = replace(before, targets=tuple(dict.fromkeys((*before.targets, *asked))))
        if DEFAULT in groups:
            groups[DEFAULT] = replace(groups[DEFAULT], targets=tuple(sorted(groups[DEFAULT].targets)))

    def _resolve(self, name: str, path: tuple[str, ...] = ()) -> Target:
        found = self._target(name, path)
        return replace(found, given={key: one for key, one in found.given.items() if key != "inherits"})

    def _target(self, name: str, path: tuple[str, ...]) -> Target:
        """A target over what it inherits, with what the command line lays over each."""
        if name in self._resolved:
            return self._resolved[name]
        own = self._config.targets.get(name)
        if own is None:
            whose = f"{path[-1]} names {name}, and no" if path else "no"
            raise NotFoundError(f"{whose} target is called {name}", hint=self._known(name))
        below = Target(name, {})
        for parent in own.get("inherits", ()):
            if parent == name or parent in path:
                raise UsageError(f"{name} inherits from itself: {' → '.join((*path, name, parent))}")
            below = merged(below, replace(self._target(parent, (*path, name)), name=name))
        whole = applied(merged(below, own), self._overrides.get(name, ()))
        found = self._resolved[name] = normalized(whole)
        return found

    def _link(self, name: str, path: tuple[str, ...], targets: dict[str, Target]) -> None:
        """Put in what the contexts of a target need, as targets that are written nowhere."""
        for value in targets[name].get("contexts", {}).values():
            if not value.startswith(TARGET):
                continue
            other = value.removeprefix(TARGET)
            if other in (*path, name):
                raise UsageError(f"the target {name} needs itself: {' → '.join((*path, name, other))}")
            if other not in targets:
                linked = self._resolve(other, (name,))
                targets[other] = replace(linked, given={**linked.given, "output": [{"type": "cacheonly"}]}, linked=True)
            self._link(other, (*path, name), targets)
            targets[name] = _granted(targets[name], targets[other])
            _fits(targets[name], targets[other])


def _granted(target: Target, other: Target) -> Target:
    """With the entitlements of what it needs."""
    own = target.get("entitlements", [])
    more = [one for one in other.get("entitlements", ()) if one not in own]
    return replace(target, given={**target.given, "entitlements": [*own, *more]}) if more else target


def _fits(target: Target, other: Target) -> None:
    platforms, others = target.get("platforms", ()), other.get("platforms", ())
    if len(platforms) > 1 and len(others) > 1 and not set(platforms) <= set(others):
        raise UsageError(
            f"{target.name} is for {', '.join(platforms)}, and {other.name}, which it needs, for {', '.join(others)}"
        )
