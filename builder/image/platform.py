"""Platforms: `os/architecture[/variant]`, as containerd normalises them."""

from __future__ import annotations

import os
import re

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
    "arm": ("arm", "v7"),
    "riscv64": ("riscv64", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "loongarch64": ("loong64", ""),
    "loong64": ("loong64", ""),
    "mips64le": ("mips64le", ""),
}
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
        if architecture == "arm64" and variant in ("8", "v8"):
            variant = ""
        return cls("linux", architecture, variant)

    def matches(self, other: Platform) -> bool:
        """Whether an image for `other` is one for this platform."""
        return (self.os, self.architecture) == (other.os, other.architecture) and (
            not self.variant or not other.variant or self.variant == other.variant
        )

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def host() -> Platform:
    """The platform of this machine."""
    machine = os.uname().machine.lower()
    architecture, variant = _ARCHITECTURES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)
