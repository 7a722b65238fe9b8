"""What a target reaches beyond the directory it is built from, and what was allowed: `--allow`, as buildx has it.

A bake file may come from strangers. So it does not read or write outside of where one is, nor use an agent or the
host's network, unless the user says so.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from builder.bake import entries
from builder.bake.overrides import Override
from builder.bake.requests import local, remote, where
from builder.bake.target import Target
from builder.errors import UsageError

_WHOLE = ("network.host", "security.insecure", "ssh")
_PATHS = {"fs.read": ("fs.read",), "fs.write": ("fs.write",), "fs": ("fs.read", "fs.write")}
ANY = "*"


class Allowed(Struct, frozen=True):
    """What was allowed: `whole` names, and directories to read and to write below. `files`: paths are looked at."""

    whole: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    files: bool = True

    @classmethod
    def parse(cls, texts: Sequence[str], here: str, *, files: bool = True) -> Allowed:
        """Read `--allow` values; below `here` all is allowed. Raises UsageError."""
        whole, paths = list[str](), {"fs.read": [here], "fs.write": [here]}
        for text in texts:
            name, equals, value = text.partition("=")
            if name in _WHOLE and (not equals or name == "ssh"):
                whole.append(name)
            elif name in _PATHS and value:
                for kind in _PATHS[name]:
                    paths[kind].append(value)
            else:
                hint = f"use {', '.join((*_WHOLE, 'fs[.read|.write]=PATH'))}"
                raise UsageError(f"--allow {text} is not known", hint=hint)
        return cls(tuple(whole), tuple(paths["fs.read"]), tuple(paths["fs.write"]), files)

    def with_given(self, overrides: Sequence[Override]) -> Allowed:
        """With what the user laid over targets, which needs no other word."""
        wanted = [one for override in overrides for one in _given(override)]
        return Allowed(
            (*self.whole, *(one.kind for one in wanted if not one.path)),
            (*self.read, *(one.path for one in wanted if one.kind == "fs.read")),
            (*self.write, *(one.path for one in wanted if one.kind == "fs.write")),
            self.files,
        )


class Wanted(Struct, frozen=True):
    """Something a target needs: a kind as --allow takes it, and the path, empty for what has none."""

    kind: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.kind}={self.path}" if self.path else self.kind


def check_read(path: str, allowed: Allowed, real: Callable[[str], str]) -> None:
    """Raise UsageError for a file that a bake file names and that was not allowed to be read."""
    if not _granted(Wanted("fs.read", path), allowed, real):
        raise UsageError(f"{path} lies outside of where you are", hint=f"--allow fs.read={path}")


def missing(target: Target, allowed: Allowed, real: Callable[[str], str]) -> list[Wanted]:
    """What `target` needs and was not allowed. `real` gives a path with all links followed, absolute."""
    found = [one for one in _wanted(target) if not _granted(one, allowed, real)]
    return list(dict.fromkeys(found))


def check(targets: Sequence[Target], allowed: Allowed, real: Callable[[str], str]) -> None:
    """Raise UsageError for what targets need and was not allowed."""
    lacking = {str(one): target.name for target in targets for one in missing(target, allowed, real)}
    if lacking:
        names = ", ".join(dict.fromkeys(lacking.values()))
        needs = "\n".join(f"    {what}" for what in lacking)
        raise UsageError(
            f"{names}: this needs what was not allowed\n{needs}",
            hint=" ".join(f"--allow {what}" for what in lacking),
        )


def _granted(one: Wanted, allowed: Allowed, real: Callable[[str], str]) -> bool:
    if not one.path:
        return one.kind in allowed.whole
    if not allowed.files:
        return True
    path = real(one.path)
    return any(
        top == ANY or _below(path, real(top)) for top in (allowed.read if one.kind == "fs.read" else allowed.write)
    )


def _given(override: Override) -> Iterator[Wanted]:
    value = override.value or ""
    if override.key in ("context", "contexts"):
        yield Wanted("fs.read", local(value))
    elif override.key == "entitlements" or (override.key, value) == ("network", "host"):
        yield Wanted("network.host" if override.key == "network" else value)
    elif override.key in entries.READERS:
        yield from _wanted(Target("", {"dockerfile-inline": "", override.key: entries.read(override.key, [value])}))


def _below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _wanted(target: Target) -> Iterator[Wanted]:
    for name in target.get("entitlements", ()):
        yield Wanted(name)
    if target.get("ssh"):
        yield Wanted("ssh")
    for path in _read(target):
        yield Wanted("fs.read", path)
    for output in target.get("output", ()):
        if output.get("dest") not in (None, "", "-"):
            yield Wanted("fs.write", output["dest"])
    for cache in target.get("cache-to", ()):
        if cache["type"] == "local" and cache.get("dest"):
            yield Wanted("fs.write", cache["dest"])


def _read(target: Target) -> Iterator[str]:
    context, file = where(target)
    if not remote(context):
        yield context
        if file is not None and target.get("dockerfile-inline") is None:
            yield posixpath.dirname(file) or "."
    for value in target.get("contexts", {}).values():
        if value is not None and value.startswith("oci-layout://"):
            yield value.removeprefix("oci-layout://").partition(":")[0].partition("@")[0]
        elif value is not None and not remote(value) and not value.startswith(("target:", "docker-image:")):
            yield local(value)
    for secret in target.get("secret", ()):
        if secret.get("src"):
            yield secret["src"]
    for cache in target.get("cache-from", ()):
        if cache["type"] == "local" and cache.get("src"):
            yield cache["src"]
