"""WWW-Authenticate, read: which ways of logging in a server offers (RFC 9110, 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*')
_SCHEME = re.compile(rf"({_TOKEN})(?=[\s,]|$)")


class Challenge(Struct, frozen=True):
    """One way: its scheme in lower case, and its parameters by names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def challenges(header: str) -> tuple[Challenge, ...]:
    """All ways a header offers, in its order; what cannot be read ends it."""
    found: list[tuple[str, dict[str, str]]] = []
    rest = header.strip()
    while rest:
        parameter = _PARAMETER.match(rest)
        scheme = None if parameter else _SCHEME.match(rest)
        if parameter is not None and found:
            quoted, bare = parameter[2], parameter[3]
            value = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            found[-1][1].setdefault(parameter[1].lower(), value)
            rest = rest[parameter.end() :].lstrip(", \t")
        elif scheme is not None:
            found.append((scheme[1].lower(), {}))
            rest = rest[scheme.end() :].lstrip(", \t")
        else:
            break
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)
