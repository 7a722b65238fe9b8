"""Digests, identifiers, and other forms of text."""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
import json
import uuid
from collections.abc import Mapping
from urllib.parse import quote_plus

from builder.bake.functions.declare import Function, anything
from builder.bake.values import MeaningError, Value, is_number, number, to_string

# As Go writes JSON: so that it can stand in HTML.
_ESCAPES = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})
_NAMESPACES = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}


def to_json(value: Value) -> str:
    """A value as JSON, keys in order, no space."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True).translate(_ESCAPES)


def _plain(value: Value) -> Value:
    match value:
        case Mapping():
            return {key: _plain(one) for key, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case _:
            return value


def _from_json(text: str) -> Value:
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()  # half of a character is none
        return _numbers(found)
    except (ValueError, RecursionError) as error:
        raise MeaningError(f"this is no JSON: {error}") from error


def _numbers(value: Value) -> Value:
    match value:
        case Mapping():
            return {key: _numbers(one) for key, one in value.items()}
        case list():
            return [_numbers(one) for one in value]
        case _:
            return number(value) if is_number(value) else value


def _from_csv(text: str) -> Value:
    try:
        rows = list(csv.reader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise MeaningError(f"these are no comma separated values: {error}") from error
    if not rows:
        raise MeaningError("the line of names is missing")
    head, *lines = [row for row in rows if row]
    if any(len(line) != len(head) for line in lines):
        raise MeaningError("not all lines have as many values as there are names")
    return [dict(zip(head, line, strict=True)) for line in lines]


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise MeaningError("this is no text in base64") from error


def _digest(name: str) -> Function:
    return Function(lambda text: hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest(), (to_string,))


def _uuid5(space: str, name: str) -> str:
    try:
        return str(uuid.uuid5(_NAMESPACES.get(space) or uuid.UUID(space), name))
    except ValueError as error:
        raise MeaningError(f"{space!r} is no name space of UUIDs") from error


FUNCTIONS: Mapping[str, Function] = {
    "base64decode": Function(_from_base64, (to_string,)),
    "base64encode": Function(lambda text: base64.b64encode(text.encode()).decode(), (to_string,)),
    "csvdecode": Function(_from_csv, (to_string,)),
    "jsondecode": Function(_from_json, (to_string,)),
    "jsonencode": Function(to_json, (anything,)),
    "md5": _digest("md5"),
    "sha1": _digest("sha1"),
    "sha256": _digest("sha256"),
    "sha512": _digest("sha512"),
    "urlencode": Function(quote_plus, (to_string,)),
    "uuidv4": Function(lambda: str(uuid.uuid4())),
    "uuidv5": Function(_uuid5, (to_string, to_string)),
}
