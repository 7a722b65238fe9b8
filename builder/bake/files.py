"""Bake files as they were read: which form each is in, and what all of them define together."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from builder.bake import jsonform, services, syntax
from builder.bake.compose import Reading, composed
from builder.bake.definitions import Config, Given, evaluated
from builder.bake.interpolate import variables
from builder.bake.parser import parse
from builder.bake.target import merged
from builder.bake.values import MeaningError
from builder.bake.yamltree import Node
from builder.errors import BuildfileError, NotFoundError, Where
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
_DOTENV = ".env"
# Of a file whose name does not tell: the mapping that all compose files have.
_SERVICES = re.compile(r"^services[ \t]*:", re.MULTILINE)


def nowhere(path: str) -> bytes:
    """No further files."""
    raise NotFoundError(f"{path} does not exist")


class File(Struct, frozen=True):
    """A bake file: the name it is shown by, and its bytes."""

    name: str
    data: bytes


def config_of(files: Sequence[File], given: Given, read: Callable[[str], bytes] = nowhere) -> Config:
    """What `files` define, in their order. Compose files come first: what the others say is laid over them.

    `read` gives further files, by path, that a compose file names. Raises BuildfileError with the place.
    """
    sources = [_source(file) for file in files]
    yaml = [source for source in sources if _is_compose(source)]
    below = _composed(yaml, given, read) if yaml else Config()
    above = evaluated([_body(source) for source in sources if source not in yaml], given)
    targets = dict(below.targets)
    for name, target in above.targets.items():
        targets[name] = merged(targets[name], target) if name in targets else target
    return Config({**below.groups, **above.groups}, targets, above.variables, (*below.warnings, *above.warnings))


def _composed(sources: Sequence[Source], given: Given, read: Callable[[str], bytes]) -> Config:
    def file(name: str) -> Source:
        return _source(File(name, read(name)))

    beside = _environment(file, given.look_up)

    def look_up(name: str) -> str | None:
        value = given.look_up(name)
        return beside.get(name) if value is None else value

    def variables_in(node: Node) -> Mapping[str, str]:
        said = node.mapping("env_file") if not isinstance(node.value, str) else {"path": node}
        if "path" not in said:
            raise node.error("env_file names a file")
        try:
            return variables(file(said["path"].text("a file's name")).text, look_up)
        except NotFoundError as error:
            if "required" in said and not said["required"].truth("required"):
                return {}
            raise node.error(error.message) from None
        except MeaningError as error:
            raise node.error(f"{said['path'].value}: {error.message}", error.hint) from None

    return services.config_of(composed(sources, Reading(look_up, file)), look_up, variables_in)


def _environment(file: Callable[[str], Source], look_up: Callable[[str], str | None]) -> Mapping[str, str]:
    """What `.env` says, if there is one."""
    try:
        source = file(_DOTENV)
    except NotFoundError:
        return {}
    try:
        return variables(source.text, look_up)
    except MeaningError as error:
        raise BuildfileError(f"{_DOTENV}: {error.message}", where=Where(_DOTENV, 1), hint=error.hint) from None


def _is_compose(source: Source) -> bool:
    """Whether it is a compose file: by its name, or else when it does not look like any other."""
    name = source.name.lower()
    if name.endswith((".yml", ".yaml")):
        return True
    if name.endswith((".json", ".hcl")):
        return False
    return _SERVICES.search(source.text) is not None


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
