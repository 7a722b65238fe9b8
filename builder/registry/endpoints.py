"""`Registries`: where each reference's repository is asked for, over which connections, and as whom."""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from builder.image.reference import DEFAULT_DOMAIN, Reference
from builder.registry.client import Repository
from builder.registry.transport import Transport

# The API of the default registry is not where its name points (distribution's reference normalisation).
_API_HOSTS = {DEFAULT_DOMAIN: "registry-1.docker.io"}


class RegistrySettings(Struct, frozen=True):
    """How registries are spoken to.

    `insecure` are hosts that need not prove who they are; `mirrors` URLs that are asked first for images of the default
    registry; `authfile` the one file with credentials, None for those there are.
    """

    insecure: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    authfile: str | None = None


class Registries:
    """All registries, for any number of threads; `close` ends the connections."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._transport = Transport()

    def close(self) -> None:
        """End the connections."""
        self._transport.close()

    def repository(self, reference: Reference, *, push: bool = False) -> Repository:
        """The repository of `reference`, to read from or, with `push`, to write to."""
        scheme = "http" if _is_loopback(reference.domain) or reference.domain in self._settings.insecure else "https"
        host = _API_HOSTS.get(reference.domain, reference.domain)
        return Repository(self._transport, reference.domain, f"{scheme}://{host}/v2/{reference.path}", push=push)


def _is_loopback(domain: str) -> bool:
    host = domain.rpartition(":")[0] if domain.rpartition(":")[2].isdigit() else domain
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
