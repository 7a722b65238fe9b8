"""Which ARG and ENV values are in effect where. Rules: Dockerfile reference, "ARG" and "ENV"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from builder.errors import UsageError
from builder.image.platform import Platform

PROXY_ARGS = frozenset(
    spelling
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for spelling in (name, name.lower())
)

# Arguments that address the builder itself: never an error, never a warning when undeclared.
EPOCH_ARG = "SOURCE_DATE_EPOCH"
BUILDER_ARGS = frozenset(
    {
        EPOCH_ARG,
        "BUILDKIT_INLINE_CACHE",
        "BUILDKIT_SYNTAX",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
        "BUILDKIT_MULTI_PLATFORM",
        "BUILDKIT_DOCKERFILE_CHECK",
        "BUILDKIT_BUILD_NAME",
        "BUILDKIT_SANDBOX_HOSTNAME",
    }
)


def platform_args(target: Platform, build: Platform, stage: str) -> dict[str, str]:
    """The automatic platform arguments; `stage` is the target as named by the user."""
    found: dict[str, str] = {}
    for prefix, platform in (("TARGET", target), ("BUILD", build)):
        found[f"{prefix}PLATFORM"] = str(platform)
        found[f"{prefix}OS"] = platform.os
        found[f"{prefix}ARCH"] = platform.architecture
        found[f"{prefix}VARIANT"] = platform.variant
    found["TARGETOSVERSION"] = ""
    found["TARGETSTAGE"] = stage or "default"
    return found


def parse_epoch(text: str) -> int:
    """The seconds of a SOURCE_DATE_EPOCH. Raises UsageError."""
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        hint = "it is a number of seconds, as date +%s says; given with a build it may be `context`"
        raise UsageError(f"{EPOCH_ARG}={text[:60]} is no time", hint=hint)
    return int(text)


class Scope(Struct):
    """The variables of one stage (or of the lines before the first FROM) at one line.

    `given` are the --build-arg values, `outer` what a bare `ARG name` inherits. `args` holds the declared
    arguments in order, None where one has no value; `env` the image's environment; `visible` what `$name` stands
    for here: of an ARG and an ENV of the same name, the later one.
    """

    given: Mapping[str, str]
    outer: Mapping[str, str]
    args: dict[str, str | None] = {}
    env: dict[str, str] = {}
    visible: dict[str, str] = {}

    def declare(self, name: str, default: str | None) -> str | None:
        """An ARG line: what `name` is from here on. A given value beats the default beats the outer one."""
        value: str | None
        if name in self.given:
            value = self.given[name]
        elif default is not None:
            value = default
        else:
            value = self.outer.get(name)
        self.args[name] = value
        if value is not None:
            self.visible[name] = value
        return value

    def set(self, pairs: Iterable[tuple[str, str]]) -> None:
        """An ENV line, or the environment of a base image."""
        found = dict(pairs)
        self.env.update(found)
        self.visible.update(found)

    def proxies(self) -> dict[str, str]:
        """Predefined proxy arguments that were given and not declared, in upper and in lower case however given."""
        given = {name: value for name, value in self.given.items() if name in PROXY_ARGS and value}
        spelled = {s: value for name, value in given.items() for s in (name.upper(), name.lower())} | given
        return {name: value for name, value in spelled.items() if name not in self.visible}

    def arguments(self) -> tuple[str, ...]:
        """The names whose value here is that of an ARG, not of an ENV."""
        return tuple(name for name in self.args if name in self.visible and self.env.get(name) != self.visible[name])

    def child(self) -> Scope:
        """The scope a stage built FROM this one starts with: ENV wins there over an ARG, even a later one."""
        return Scope(self.given, self.outer, dict(self.args), dict(self.env), self.visible | self.env)
