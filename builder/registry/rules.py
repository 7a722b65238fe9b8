"""Where repositories are asked for: rewritten names, mirrors, blocked and insecure registries. Pure.

The rules are those of containers-registries.conf(5), `[[registry]]` with `[[registry.mirror]]`, and of dockerd's
`insecure-registries` and `registry-mirrors`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from types import UnionType
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from builder.errors import RegistryError, UsageError
from builder.image.reference import DEFAULT_DOMAIN, Reference

# The API of the default registry is not where its name points (distribution's reference normalisation).
API_HOSTS: Mapping[str, str] = {DEFAULT_DOMAIN: "registry-1.docker.io"}
# Which references a mirror is asked for.
ALL, DIGESTS, TAGS = "all", "digest-only", "tag-only"
LOCATION = re.compile(
    r"(?P<host>(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?)(?P<path>(?:/[a-z0-9][a-z0-9._-]*)*)"
)
_PREFIX = re.compile(rf"(?:\*\.[A-Za-z0-9.-]+(?::[0-9]{{1,5}})?|{LOCATION.pattern})")


class Mirror(Struct, frozen=True):
    """Another place of what a rule is for. `plain`: it speaks plain HTTP."""

    location: str
    insecure: bool = False
    plain: bool = False
    pull: str = ALL


class Rule(Struct, frozen=True):
    """What holds for all names that begin with `prefix`; where they are asked for that is `location`, if there is one.

    A prefix `*.DOMAIN` is for all hosts below that domain. `verify_keys` are files with public keys, one of
    which must have signed what is pulled; none: nothing must.
    """

    prefix: str
    location: str = ""
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()
    verify_keys: tuple[str, ...] = ()


class Place(Struct, frozen=True):
    """Where a repository is: host with port, and path there. `plain`: only plain HTTP; `insecure`: maybe that, too."""

    host: str
    path: str
    insecure: bool = False
    plain: bool = False
    mirror: bool = False


class Insecure(Struct, frozen=True):
    """Hosts, with or without port, and networks that need not prove who they are; or `everyone`."""

    words: tuple[str, ...] = ()
    everyone: bool = False

    def __contains__(self, host: str) -> bool:
        host = host.lower()
        name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
        return self.everyone or any(word in (host, name) or _in_network(name, word) for word in self.words)


def checked_insecure(word: str) -> str:
    """A value of --insecure-registry. Raises UsageError."""
    bare = re.sub(r"^https?://", "", word.lower()).rstrip("/")
    if "/" in bare:
        try:
            return str(ipaddress.ip_network(bare, strict=False))
        except ValueError:
            bare = ""
    if not LOCATION.fullmatch(bare):
        raise UsageError(f"--insecure-registry {word!r} is neither a host nor a network", hint="use HOST or HOST:PORT")
    return bare


def default_mirror(url: str) -> Mirror:
    """A value of --registry-mirror, of the default registry. Raises UsageError for what dockerd would not take."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(LOCATION.fullmatch(parts.netloc))
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageError(f"--registry-mirror {url!r} is not the URL of a mirror", hint="use https://HOST[:PORT]")
    return Mirror(parts.netloc, plain=parts.scheme == "http")


def parsed(said: Any) -> tuple[Rule, ...]:
    """The rules in what a file says under `registry`. Raises ValueError with what would be right."""
    if not isinstance(said, list) or not all(isinstance(table, dict) for table in said):
        raise ValueError("use [[registry]] tables")
    return tuple(map(_rule, said))


def joined(below: tuple[Rule, ...], above: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules of two files: of two with one prefix those `above` hold."""
    return tuple({rule.prefix: rule for rule in (*below, *above)}.values())


def places(
    reference: Reference, rules: Collection[Rule], defaults: Collection[Mirror], *, push: bool
) -> tuple[Place, ...]:
    """Where to ask for a repository, in order; the last is its own. Raises RegistryError when it is blocked.

    `defaults` are mirrors of the default registry. Mirrors are for pulls.
    """
    name, rule = f"{reference.domain}/{reference.path}", rule_for(reference, rules)
    if rule is not None and rule.blocked:
        raise RegistryError(
            f"{reference.domain} is blocked: {reference.path} is not to be asked for",
            hint=f"config.toml says so, for {rule.prefix}",
        )
    prefix = "" if rule is None else reference.domain if rule.prefix.startswith("*.") else rule.prefix
    own = _split(name) if rule is None else _place(name, prefix, rule.location or prefix, rule.insecure)
    if push:
        return (own,)
    found = defaults if reference.domain == DEFAULT_DOMAIN else ()
    mirrors = [Place(m.location, reference.path, m.insecure, m.plain, mirror=True) for m in found]
    for mirror in rule.mirrors if rule else ():
        if mirror.pull == ALL or (mirror.pull == DIGESTS) == (reference.digest is not None):
            there = _place(name, prefix, mirror.location, mirror.insecure)
            mirrors.append(Place(there.host, there.path, mirror.insecure, mirror.plain, mirror=True))
    return (*mirrors, own)


def rule_for(reference: Reference, rules: Collection[Rule]) -> Rule | None:
    """The rule that holds for a name: that with the longest prefix."""
    name = f"{reference.domain}/{reference.path}"
    return max((r for r in rules if _covers(r.prefix, name)), key=lambda r: len(r.prefix), default=None)


def _place(name: str, prefix: str, location: str, insecure: bool) -> Place:
    """Where `location` has what is called `name`, which begins with `prefix`."""
    return _split(f"{location}{name.removeprefix(prefix)}", insecure)


def _split(name: str, insecure: bool = False) -> Place:
    host, _, path = name.partition("/")
    return Place(API_HOSTS.get(host, host), path, insecure)


def _covers(prefix: str, name: str) -> bool:
    if prefix.startswith("*."):
        return name.partition("/")[0].endswith(prefix[1:])
    return name == prefix or name.startswith(f"{prefix}/")


def _in_network(name: str, word: str) -> bool:
    if "/" not in word:
        return False
    try:
        return ipaddress.ip_address(name.strip("[]")) in ipaddress.ip_network(word, strict=False)
    except ValueError:
        return False


# --- reading -------------------------------------------------------------------------------------


def _rule(table: Mapping[str, Any]) -> Rule:
    _known(
        table,
        {"prefix": str, "location": str, "insecure": bool, "blocked": bool, "mirror": list, "verify-key": str | list},
    )
    location = table.get("location", "")
    prefix = table.get("prefix") or location
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"a registry needs a prefix or a location such as HOST[:PORT][/PATH], not {prefix!r}")
    if location and (not LOCATION.fullmatch(location) or prefix.startswith("*.")):
        raise ValueError(f"a location is HOST[:PORT][/PATH], of a prefix that does not begin with *., not {location!r}")
    mirrors = table.get("mirror", [])
    if not all(isinstance(mirror, dict) for mirror in mirrors):
        raise ValueError("use [[registry.mirror]] tables")
    insecure, blocked = table.get("insecure", False), table.get("blocked", False)
    keys = _keys(table.get("verify-key", []))
    return Rule(prefix, location, insecure, blocked, tuple(map(_mirror, mirrors)), keys)


def _keys(said: str | list[Any]) -> tuple[str, ...]:
    keys = [said] if isinstance(said, str) else said
    # What is relative would mean another file in each directory pybuild is called in, and no key where it means none.
    if not all(isinstance(key, str) and key.startswith("/") for key in keys):
        raise ValueError(f"verify-key is the whole path of a file, or several in a list, not {said!r}")
    return tuple(keys)


def _mirror(table: Mapping[str, Any]) -> Mirror:
    _known(table, {"location": str, "insecure": bool, "pull-from-mirror": str})
    location, pull = table.get("location", ""), table.get("pull-from-mirror", ALL)
    plain = location.startswith("http://")
    bare = re.sub(r"^https?://", "", location)
    if not LOCATION.fullmatch(bare):
        raise ValueError(f"a mirror needs a location such as HOST[:PORT][/PATH], not {location!r}")
    if pull not in (ALL, DIGESTS, TAGS):
        raise ValueError(f"pull-from-mirror is {ALL}, {DIGESTS} or {TAGS}, not {pull!r}")
    return Mirror(bare, table.get("insecure", False), plain, pull)


def _known(table: Mapping[str, Any], kinds: Mapping[str, type | UnionType]) -> None:
    for name, value in table.items():
        kind = kinds.get(name)
        if kind is None:
            raise ValueError(f"there is no {name!r}: use {', '.join(kinds)}")
        if not isinstance(value, kind):
            raise ValueError(f"{name} cannot be {value!r}")
