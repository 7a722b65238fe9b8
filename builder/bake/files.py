"""Bake files as they were read: which form each is in, and what all of them define together."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from builder.bake import jsonform, syntax
from builder.bake.definitions import Config, Given, evaluated
from builder.bake.parser import parse
from builder.errors import BuildfileError, Where
from builder.lang.source import Source

# Where they are looked for when none is named: all of these that are there, in this order, as in buildx.
COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
DEFAULT_FILES = (
    *COMPOSE,
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
)
LARGEST = 8 << 20


class File(Struct, frozen=True):
    """A bake file: the name it is shown by, and its bytes."""

    name: str
    data: bytes


def config_of(files: Sequence[File], given: Given) -> Config:
    """What `files` define, in their order. Raises BuildfileError with the place."""
    bodies = [_body(_source(file)) for file in files]
    return evaluated(bodies, given)


def _source(file: File) -> Source:
    if len(file.data) > LARGEST:
        raise BuildfileError(f"{file.name} is larger than {LARGEST >> 20} MiB", where=Where(file.name, 1))
    try:
        return Source(file.name, file.data.decode().removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        line = file.data[: error.start].count(b"\n") + 1
        raise BuildfileError(f"{file.name} is not UTF-8", where=Where(file.name, line)) from None


def _body(source: Source) -> syntax.Body:
    as_json = source.name.endswith(".json") or (
        not source.name.endswith(".hcl") and source.text.lstrip().startswith("{")
    )
    return jsonform.parse(source) if as_json else parse(source)
