"""`Registries`: where each reference's repository is asked for, over which connections, and as whom."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from builder.image.reference import Reference
from builder.registry import tls
from builder.registry.auth import Login
from builder.registry.client import Repository
from builder.registry.credentials import Keychain
from builder.registry.host import Host, Visit
from builder.registry.rules import API_HOSTS, Insecure, Mirror, Place, Rule, places, rule_for
from builder.registry.transport import Transport

# What is shown, and has logins, where the API is elsewhere.
_NAMES = {host: name for name, host in API_HOSTS.items()}


class RegistrySettings(Struct, frozen=True):
    """How registries are spoken to.

    `insecure` are hosts that need not prove who they are; `mirrors` are asked first for images of the default registry;
    `rules` say what holds for names; `authfile` is the one file with credentials, None for those there are.
    `patience` is for how many seconds an answer is waited for, None for the usual time. One of the
    keys in the files `verify_keys` must have signed what is pulled, whatever the rules say of keys. `login` is that to
    every registry but mirrors, whatever files say; `certificates` a directory with some for all.
    """

    insecure: Insecure = Insecure()
    mirrors: tuple[Mirror, ...] = ()
    rules: tuple[Rule, ...] = ()
    authfile: str | None = None
    patience: float | None = None
    verify_keys: tuple[str, ...] = ()
    login: Login | None = None
    certificates: Path | None = None


class Registries:
    """All registries, for any number of threads; `close` ends the connections."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self.keychain = Keychain(settings.authfile, os.environ)
        self._unverified: set[str] = set()
        self._transport = Transport(
            self._needs_no_proof, tls.directories(os.environ), settings.patience, everywhere=settings.certificates
        )
        self._lock = threading.Lock()
        self._hosts: dict[Place, Host] = {}
        self._visits: dict[Place, Visit] = {}

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
        visits = tuple(map(self._visit, found))
        return Repository(f"{reference.domain}/{reference.path}", visits, self._transport.wait, push=push)

    def verify_keys(self, reference: Reference) -> tuple[str, ...]:
        """The files with keys, one of which must have signed the image `reference`; none when nothing must."""
        rule = rule_for(reference, self._settings.rules)
        return self._settings.verify_keys or (rule.verify_keys if rule is not None else ())

    def registry(self, domain: str, path: str) -> Visit:
        """The registry called so, wherever its images are asked for, to log in to. Raises RegistryError if blocked."""
        (place,) = places(Reference(domain, path), self._settings.rules, (), push=True)
        host = API_HOSTS.get(domain, domain)
        return self._visit(place if place.host == host else Place(host, path))

    def _visit(self, place: Place) -> Visit:
        """A place of a repository, logged in once for all who ask. The login is the place's, not the name's."""
        if place.host in self._settings.insecure and not place.insecure:
            place = replace(place, insecure=True)
        with self._lock:
            if place.insecure:
                self._unverified.add(place.host)
            if place not in self._visits:
                on = replace(place, path="")
                host = self._hosts.setdefault(on, Host(on, _NAMES.get(on.host, on.host), self._transport))
                find: Callable[[], Login | None] = partial(self.keychain.find, host.shown, place.path)
                if self._settings.login is not None and not place.mirror:
                    find = partial(_given, self._settings.login)
                self._visits[place] = Visit(host, place.path, self._transport, find)
            return self._visits[place]

    def _needs_no_proof(self, host: str) -> bool:
        return host in self._unverified or host in self._settings.insecure


def _given(login: Login) -> Login:
    return login
