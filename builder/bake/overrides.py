"""`--set TARGET.key[.name][+]=VALUE`: what the command line lays over targets, by patterns of their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate
from functools import cache
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from builder.bake import entries
from builder.bake.target import KEYS, STRINGS, Target, read
from builder.bake.values import MeaningError
from builder.errors import ALIKE, UsageError, suggestion
from builder.image import pulling
from builder.lang.gobool import parse_bool

# Keys under other names than in files; both are taken.
_CALLED = {"secrets": "secret", "platform": "platforms", "outputs": "output"}
_NAMED = ("args", "contexts", "labels", "extra-hosts", "resources")
# What is added to, also without a +.
_ADDED = ("annotations", "attest", "entitlements")
_OF_OUTPUT = ("push", "load")


class Override(Struct, frozen=True):
    """One `--set`: for the targets that `pattern` fits, `key`, the `name` in it, and the value, None for none."""

    text: str
    pattern: str
    key: str
    name: str = ""
    value: str | None = None
    add: bool = False


def parse(text: str, look_up: Callable[[str], str | None]) -> Override:
    """Read one. An `args.NAME` without a value takes it from `look_up`, the environment. Raises UsageError."""
    if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError("--set is given what is not UTF-8")
    path, equals, value = text.partition("=")
    add = path.endswith("+")
    pattern, _, rest = path.removesuffix("+").partition(".")
    key, _, name = rest.partition(".")
    if not pattern or not key:
        raise UsageError(f"--set {text}: it does not say of what", hint="write --set TARGET.key=VALUE")
    key = _CALLED.get(key, key)
    if key not in (*KEYS, *_OF_OUTPUT) or key in ("inherits", "description"):
        raise UsageError(
            f"--set {text}: {key} cannot be set",
            hint=suggestion(key, [*KEYS, *_OF_OUTPUT], "see the keys of a target", ALIKE),
        )
    if key in _NAMED and not name:
        raise UsageError(f"--set {text}: {key} needs a name", hint=f"write --set TARGET.{key}.NAME=VALUE")
    if not equals and key != "args":
        raise UsageError(f"--set {text}: the value is missing", hint="write --set TARGET.key=VALUE")
    return Override(text, pattern, key, name, value if equals else look_up(name), add)


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that fit a pattern with `*`, `?` and `[…]`."""
    return [name for name in names if _pattern(pattern).match(name)]


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.replace("[^", "[!")))


def by_target(overrides: Sequence[Override], names: Sequence[str]) -> dict[str, list[Override]]:
    """What is laid over each of the targets `names`. Raises UsageError for a pattern that fits none."""
    found: dict[str, list[Override]] = {}
    for override in overrides:
        fitting = [override.pattern] if override.pattern in names else matching(override.pattern, names)
        if not fitting:
            hint = suggestion(override.pattern, names, least=ALIKE)
            raise UsageError(f"--set {override.text}: no target is called {override.pattern}", hint=hint)
        for name in fitting:
            found.setdefault(name, []).append(override)
    return found


def applied(target: Target, overrides: Sequence[Override]) -> Target:
    """`target` with these laid over it; `push` and `load` last, whatever the order. Raises UsageError."""
    lists: dict[str, list[str]] = {}
    added: set[str] = set()
    for one in sorted(overrides, key=lambda override: override.key in _OF_OUTPUT):
        try:
            if one.key in _OF_OUTPUT:
                target = _output(_lists(target, lists, added), one)
                lists = {}
            elif one.key == "secret" and one.name:
                target = _secret(_lists(target, lists, added), one)
                lists = {}
            elif one.key in STRINGS or one.key in entries.READERS:
                lists.setdefault(one.key, []).append(one.value or "")
                added = added | {one.key} if one.add or one.key in _ADDED else added - {one.key}
            else:
                target = _single(target, one)
        except MeaningError as error:
            raise UsageError(f"--set {one.text}: {error.message}", hint=error.hint) from error
    try:
        return _lists(target, lists, added)
    except MeaningError as error:
        raise UsageError(f"--set: {error.message}", hint=error.hint) from error


def _single(target: Target, one: Override) -> Target:
    if one.key in _NAMED:
        if one.value is None:
            return target
        named = {one.name: one.value}
        if one.key == "resources":
            named = read(one.key, named)
        return _with(target, one.key, {**target.given.get(one.key, {}), **named})
    if one.key in ("pull", "no-cache") and one.value not in pulling.POLICIES:
        return _with(target, one.key, _boolean(one))
    if one.key == "no-cache":
        raise MeaningError("no-cache is true or false")
    return _with(target, one.key, one.value)


def _secret(target: Target, one: Override) -> Target:
    """With another source for a secret that it has, as buildx lets one say."""
    given = entries.read("secret", [one.value or ""])
    known = [entry["id"] for entry in target.given.get("secret", []) if "id" in entry]
    if one.name not in known:
        raise MeaningError(f"there is no secret {one.name}", f"there are {', '.join(known)}" if known else None)
    if not given or given[0].get("id", one.name) != one.name:
        raise MeaningError(f"the secret {one.name} has no other name")
    changed = [{"id": one.name, **given[0]} if e.get("id") == one.name else e for e in target.given["secret"]]
    return _with(target, "secret", changed)


def _lists(target: Target, lists: Mapping[str, list[str]], added: set[str]) -> Target:
    for key, values in lists.items():
        given: list[Any] = entries.read(key, values) if key in entries.READERS else [one for one in values if one]
        before = target.given.get(key, []) if key in added else []
        both = [*before, *given]
        target = _with(target, key, entries.merged(key, both) if key in entries.READERS else both)
    return target


def _with(target: Target, key: str, value: Any) -> Target:
    return replace(target, given={**target.given, key: value})


def _boolean(one: Override) -> bool:
    value = parse_bool(one.value or "")
    if value is None:
        raise MeaningError(f"{one.key} is true or false")
    return value


def _output(target: Target, one: Override) -> Target:
    """With what `--push` and `--load` make of the outputs, as buildx has it."""
    outputs = list(target.given.get("output", []))
    if one.key == "push":
        found = _pushed(outputs) if _boolean(one) else _kept(outputs)
    else:
        found = _loaded(outputs) if _boolean(one) else outputs
    return _with(target, "output", found)


def _pushed(outputs: list[entries.Entry]) -> list[entries.Entry]:
    found = [{**one, "push": "true"} if one["type"] == "image" else one for one in outputs]
    if all(one["type"] == "docker" for one in outputs):
        found.append({"push": "true", "type": "image"})
    return found


def _kept(outputs: list[entries.Entry]) -> list[entries.Entry]:
    here = (one for one in outputs if one["type"] != "registry")
    return [{**one, "push": "false"} if one["type"] == "image" else one for one in here]


def _loaded(outputs: list[entries.Entry]) -> list[entries.Entry]:
    for one in outputs:
        if one["type"] == "docker" and not one.get("dest"):
            return outputs
        if one["type"] not in ("docker", "image", "registry", "oci"):
            return outputs
    return [*outputs, {"type": "docker"}]
