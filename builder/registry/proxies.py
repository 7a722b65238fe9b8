"""Which proxy the environment names for a URL: http_proxy, https_proxy, all_proxy and no_proxy, as Go reads them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def proxy_of(url: str, environ: Mapping[str, str]) -> str:
    """The proxy for `url`, empty for none; never one for this machine."""
    parts = urlsplit(url)
    proxy = _named(environ, parts.scheme) or _named(environ, "all")
    if not proxy:
        return ""
    try:
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        return ""  # no URL that leads anywhere
    host = (parts.hostname or "").lower()
    if is_loopback(host) or _excepted(host, port, _named(environ, "no")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine."""
    host = host.lower()
    bare = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("::1") else host
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    address = _address(bare)
    return address is not None and address.is_loopback


def _named(environ: Mapping[str, str], what: str) -> str:
    return environ.get(f"{what.upper()}_PROXY") or environ.get(f"{what}_proxy") or ""


def _excepted(host: str, port: int, exceptions: str) -> bool:
    return any(_matches(host, port, word.strip().lower()) for word in exceptions.split(",") if word.strip())


def _matches(host: str, port: int, word: str) -> bool:
    """One word of no_proxy: `*`, an address, a network, or a domain with all below it; each may end in a port."""
    if word == "*":
        return True
    address = _address(host)
    if "/" in word:
        try:
            return address is not None and address in ipaddress.ip_network(word, strict=False)
        except ValueError:
            return False
    name, _, number = word.rpartition(":")
    if name and number.isdigit() and (_address(word) is None):
        if int(number) != port:
            return False
        word = name
    if address is not None:
        return address == _address(word)
    below = word.removeprefix("*")
    return host.endswith(below) if below.startswith(".") else host == word or host.endswith(f".{word}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
