"""Entries of a target that have parts: caches, outputs, attestations, secrets, agents. Each is read from text as the
command line takes it (`type=registry,ref=…`) or from an object, and becomes a mapping in the form that `--print` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from builder.bake.values import MeaningError, Value, to_bool, to_object, to_string, to_strings
from builder.lang.gobool import parse_bool
from builder.lang.mounts import MountError, fields

Entry = Mapping[str, Any]


def cut(text: str) -> list[str]:
    """The fields of comma separated values, some perhaps in quotation marks. Raises MeaningError."""
    try:
        return list(fields(text))
    except MountError as error:
        raise MeaningError(f"{text!r}: {error.message}", error.hint) from error


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in cut(text):
        key, equals, value = part.partition("=")
        if not equals:
            raise MeaningError(f"{text!r}: {part!r} is not NAME=VALUE")
        found[key.strip().lower()] = value
    return found


def _typed(found: dict[str, Any], said: object) -> Entry:
    if not found.get("type"):
        raise MeaningError(f"{said!r} does not say its type", "such as type=registry")
    return dict(sorted(found.items()))


def _texts(value: Value) -> dict[str, Any]:
    return {key: to_string(one) for key, one in to_object(value).items() if one is not None}


def _caches(value: Value) -> list[Entry]:
    if not isinstance(value, str):
        return [_typed(_texts(value), value)]
    if "=" not in value:
        return [{"ref": ref, "type": "registry"} for ref in cut(value)]
    return [_typed(_pairs(value), value)]


def _outputs(value: Value) -> list[Entry]:
    if not isinstance(value, str):
        return [_typed(_texts(value), value)]
    if value == "-":
        return [{"dest": "-", "type": "tar"}]
    if cut(value) == [value] and not value.startswith("type="):
        return [{"dest": value, "type": "local"}]
    return [_typed(_pairs(value), value)]


def _attests(value: Value) -> list[Entry]:
    found: dict[str, Any]
    if isinstance(value, str):
        found = dict(_pairs(value))
        if "disabled" in found:
            disabled = parse_bool(found["disabled"])
            if disabled is None:
                raise MeaningError(f"{value!r}: disabled is true or false")
            found["disabled"] = disabled
    else:
        given = to_object(value)
        found = {k: to_bool(v) if k == "disabled" else to_string(v) for k, v in given.items() if v is not None}
    if not found.get("disabled", True):
        del found["disabled"]
    return [_typed(found, value)]


_SECRET = {"id": "id", "source": "src", "src": "src", "env": "env"}


def _secrets(value: Value) -> list[Entry]:
    given = _pairs(value) if isinstance(value, str) else _texts(value)
    kind = given.pop("type", "file")
    if kind not in ("file", "env"):
        raise MeaningError(f"a secret of type {kind} is not known", "there are file and env")
    unknown = sorted(set(given) - set(_SECRET))
    if unknown:
        raise MeaningError(f"{unknown[0]!r} is not known of a secret", "there are id, src, env and type")
    found = {_SECRET[key]: one for key, one in given.items() if one}
    if kind == "env" and "env" not in found and "src" in found:
        found["env"] = found.pop("src")
    return [{key: found[key] for key in ("id", "src", "env") if key in found}]


def _agents(value: Value) -> list[Entry]:
    if isinstance(value, str):
        name, equals, said = value.partition("=")
        paths = said.split(",") if equals else []
    else:
        given = to_object(value)
        name, paths = to_string(given.get("id") or "default"), to_strings(given.get("paths") or [])
    return [{"id": name, "paths": paths} if paths else {"id": name}]


READERS: Mapping[str, Callable[[Value], list[Entry]]] = {
    "cache-from": _caches,
    "cache-to": _caches,
    "output": _outputs,
    "attest": _attests,
    "secret": _secrets,
    "ssh": _agents,
}


def read(key: str, values: Iterable[Value]) -> list[Entry]:
    """The entries of `key`, one of READERS. An empty text is none. Raises MeaningError."""
    reader = READERS[key]
    return [entry for value in values if value is not None and value != "" for entry in reader(value)]


def merged(key: str, entries: Sequence[Entry]) -> list[Entry]:
    """Without doubles; of attestations the last of each type, where the first was."""
    if key == "attest":
        return list({entry["type"]: entry for entry in entries}.values())
    found: list[Entry] = []
    for entry in entries:
        if entry not in found:
            found.append(entry)
    return found


def canonical_attest(kind: str, value: str) -> str:
    """`--sbom VALUE` and `--provenance VALUE` as an attestation."""
    said = parse_bool(value)
    return f"type={kind},{value}" if said is None else f"type={kind},disabled={'false' if said else 'true'}"


def text(key: str, entry: Entry) -> str:
    """An entry as the command line takes it."""
    if key == "ssh":
        return f"{entry['id']}={','.join(entry['paths'])}" if entry.get("paths") else str(entry["id"])
    if key.startswith("cache-") and set(entry) == {"type", "ref"} and entry["type"] == "registry":
        return f"type=registry,ref={entry['ref']}"
    names = ["type", *(name for name in entry if name != "type")] if "type" in entry else list(entry)
    return ",".join(_quoted(f"{name}={_said(entry[name])}") for name in names)


def _said(value: Any) -> str:
    return value if isinstance(value, str) else "true" if value else "false"


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if "," in field or '"' in field else field
