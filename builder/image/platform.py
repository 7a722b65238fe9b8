"""Platforms: `os/architecture[/variant]`, as containerd normalises them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from msgspec import Struct

from builder.errors import UsageError

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "386": ("386", ""),
    "aarch64": ("arm64", ""),
    "arm64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv8l": ("arm", "v8"),
    "arm": ("arm", "v7"),
    "riscv64": ("riscv64", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "loongarch64": ("loong64", ""),
    "loong64": ("loong64", ""),
    "mips64le": ("mips64le", ""),
}
# Variants that are the same as none, as all that is of the architecture has them.
_DEFAULTS = frozenset({("amd64", "v1"), ("arm64", "v8"), ("arm64", "8"), ("arm64", "v8.0")})
_OLDEST_ARM = 5
_WORD = re.compile(r"[a-z0-9_.-]+")


class Platform(Struct, frozen=True, order=True):
    """What an image runs on. `variant` is empty where the architecture has none or the default one."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `linux/arm64/v8`, `linux/amd64` or just `arm64`. Raises UsageError."""
        parts = text.strip().lower().split("/")
        if len(parts) == 1 and parts[0] not in ("linux",):
            parts = ["linux", parts[0]]
        if not 2 <= len(parts) <= 3 or not all(_WORD.fullmatch(p) for p in parts):
            raise UsageError(f"{text!r} is not a platform", hint="for example linux/amd64 or linux/arm64")
        if parts[0] != "linux":
            raise UsageError(f"platform {text!r}: only linux images can be built")
        if parts[1] not in _ARCHITECTURES:
            raise UsageError(f"platform {text!r}: unknown architecture {parts[1]!r}")
        architecture, variant = _ARCHITECTURES[parts[1]]
        if len(parts) == 3:
            variant = parts[2]
        return cls("linux", architecture, variant).normal()

    def normal(self) -> Platform:
        """The same by the names used here: documents say `x86_64` for amd64, or `v8` for the arm64 there always is."""
        architecture, variant = _ARCHITECTURES.get(self.architecture.lower(), (self.architecture, ""))
        variant = self.variant or variant
        if (architecture, variant) in _DEFAULTS:
            variant = ""
        elif architecture == "arm" and variant.isdigit():
            variant = f"v{variant}"
        return Platform(self.os, architecture, variant)

    def accepted(self) -> Iterator[Platform]:
        """What an image may be made for to run here, the best first (containerd, platforms.Only)."""
        own = self.normal()
        yield own
        lower = range(_number(own.variant) - 1, 0, -1)
        if own.architecture == "amd64":
            yield from (Platform(self.os, "amd64", f"v{n}" if n > 1 else "") for n in lower)
            yield Platform(self.os, "386")
        elif own.architecture == "arm":
            yield from (Platform(self.os, "arm", f"v{n}") for n in lower if n >= _OLDEST_ARM)
        elif own.architecture == "arm64":
            yield from (Platform(self.os, "arm64", variant) for variant in _lower_arm64(own.variant))
            yield from (Platform(self.os, "arm", f"v{n}") for n in range(8, _OLDEST_ARM - 1, -1))

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def _number(variant: str) -> int:
    text = variant.removeprefix("v")
    return int(text) if text.isdigit() and len(text) < 3 else 0


def _lower_arm64(variant: str) -> Iterator[str]:
    """Variants of arm64 below one: v9.x has all of v8.(x+5), and v8 is the empty one."""
    major, _, minor = variant.removeprefix("v").partition(".")
    least = int(minor) if minor.isdigit() and len(minor) < 3 else 0
    if major == "9":
        yield from (f"v9.{n}" if n else "v9" for n in range(least - 1, -1, -1))
        least += 6
    if major in ("8", "9"):
        yield from (f"v8.{n}" if n else "" for n in range(least - 1, -1, -1))


def host() -> Platform:
    """The platform of this machine."""
    machine = os.uname().machine.lower()
    architecture, variant = _ARCHITECTURES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)
