"""`Registries`: where each reference's repository is asked for, over which connections, and as whom."""

from __future__ import annotations

import os
import threading

from msgspec import Struct

from builder.image.reference import Reference
from builder.registry import tls
from builder.registry.auth import Login
from builder.registry.client import Repository
from builder.registry.credentials import Keychain
from builder.registry.host import Host, Visit
from builder.registry.rules import Insecure, Mirror, Place, Rule, places, rule_for
from builder.registry.transport import Transport


class RegistrySettings(Struct, frozen=True):
    """How registries are spoken to.

    `insecure` are hosts that need not prove who they are; `mirrors` are asked first for images of the default registry;
    `rules` say what holds for names; `authfile` is the one file with credentials, None for those there are. One of the
    keys in the files `verify_keys` must have signed what is pulled, whatever the rules say of keys.
    """

    insecure: Insecure = Insecure()
    mirrors: tuple[Mirror, ...] = ()
    rules: tuple[Rule, ...] = ()
    authfile: str | None = None
    verify_keys: tuple[str, ...] = ()


class Registries:
    """All registries, for any number of threads; `close` ends the connections."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self.keychain = Keychain(settings.authfile, os.environ)
        self._unverified: set[str] = set()
        self._transport = Transport(self._needs_no_proof, tls.directories(os.environ))
        self._lock = threading.Lock()
        self._hosts: dict[tuple[Place, str], Host] = {}
        self._visits: dict[tuple[Place, str], Visit] = {}

    def close(self) -> None:
        """End the connections."""
        self._transport.close()

    def cancel(self) -> None:
        """Break off what is being read or waited for, and ask for nothing more; from any thread."""
        self._transport.cancel()

    def repository(self, reference: Reference, *, push: bool = False) -> Repository:
        """The repository of `reference`, to read from or, with `push`, to write to.

        Raises RegistryError for one that is blocked.
        """
        found = places(reference, self._settings.rules, self._settings.mirrors, push=push)
        own = found[-1]
        visits = tuple(self.visit(p, reference.domain if p is own else p.host) for p in found)
        return Repository(f"{reference.domain}/{reference.path}", visits, self._transport.wait, push=push)

    def verify_keys(self, reference: Reference) -> tuple[str, ...]:
        """The files with keys, one of which must have signed the image `reference`; none when nothing must."""
        rule = rule_for(reference, self._settings.rules)
        return self._settings.verify_keys or (rule.verify_keys if rule is not None else ())

    def visit_of(self, domain: str, path: str) -> Visit:
        """The registry itself that a name means, to log in to. Raises RegistryError for one that is blocked."""
        own = places(Reference(domain, path), self._settings.rules, (), push=True)[-1]
        return self.visit(own, domain)

    def visit(self, place: Place, shown: str) -> Visit:
        """A place of a repository, whose registry messages call `shown`; logged in once for all who ask."""
        if place.host in self._settings.insecure and not place.insecure:
            place = Place(place.host, place.path, insecure=True, plain=place.plain, mirror=place.mirror)
        with self._lock:
            if place.insecure:
                self._unverified.add(place.host)
            host_key = Place(place.host, "", place.insecure, place.plain), shown
            if host_key not in self._hosts:
                self._hosts[host_key] = Host(place, shown, self._transport)
            if (place, shown) not in self._visits:
                self._visits[place, shown] = self._made(self._hosts[host_key], place, shown)
            return self._visits[place, shown]

    def _made(self, host: Host, place: Place, shown: str) -> Visit:
        def find() -> Login | None:
            return self.keychain.find(shown, place.path)

        return Visit(host, place.path, self._transport, find)

    def _needs_no_proof(self, host: str) -> bool:
        return host in self._unverified or host in self._settings.insecure
