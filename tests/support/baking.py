"""Bake files evaluated as the program does it, without a disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import dedent
from typing import Any

from builder.bake.definitions import Config, Given
from builder.bake.files import File, config_of
from builder.bake.overrides import parse
from builder.bake.project import Project, chosen
from builder.bake.target import document

FIXED = {"BAKE_CMD_CONTEXT": "cwd://", "BAKE_LOCAL_PLATFORM": "linux/amd64"}


def config(*texts: str, env: Mapping[str, str] | None = None, kind: str = "hcl") -> Config:
    """What files with these texts define: those that begin with a brace are JSON."""
    files = [
        File(f"{number}.{'json' if text.lstrip().startswith('{') else kind}", dedent(text).encode())
        for number, text in enumerate(texts, 1)
    ]
    return config_of(files, Given((env or {}).get, FIXED))


def project(found: Config, names: Sequence[str] = (), sets: Sequence[str] = (), **env: str) -> Project:
    """What is meant by `names`."""
    return chosen(found, names, [parse(text, env.get) for text in sets])


def printed(found: Config, names: Sequence[str] = (), sets: Sequence[str] = (), **env: str) -> dict[str, Any]:
    """What --print says of them."""
    meant = project(found, names, sets, **env)
    return document(meant.targets, meant.groups)
