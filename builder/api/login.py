"""Logins to registries: tried, kept and forgotten."""

from __future__ import annotations

from msgspec import Struct

from builder.api.registries import registries
from builder.api.session import must_ask
from builder.config.settings import settings
from builder.errors import UsageError
from builder.registry.auth import Login
from builder.registry.login import server, verified
from builder.request import RegistryOptions


class Kept(Struct, frozen=True):
    """Where a login is kept: the file, and the credential helper that has the secret, if one does."""

    file: str
    helper: str | None


def login(options: RegistryOptions, name: str, username: str, password: str) -> Kept:
    """Have a registry (empty: the default one) try a login, and keep it. Raises RegistryError if it is refused."""
    domain, path = server(name)
    if not username or not password:
        raise UsageError(f"a login to {domain} needs a name and a password")
    if ":" in username or not username.isprintable():
        raise UsageError(f"{username!r} cannot be a name: it has a colon, or what cannot be printed")
    must_ask(options)
    opened = registries(options, settings())
    try:
        found = verified(opened.registry(domain, path), Login(username, password))
        helper = opened.keychain.keep(domain, path, found)
        return Kept(str(opened.keychain.file), helper)
    finally:
        opened.close()


class Forgotten(Struct, frozen=True):
    """The registries whose logins are gone, and a file that still has one, which is another program's."""

    names: tuple[str, ...]
    elsewhere: str | None = None


def logout(options: RegistryOptions, name: str) -> Forgotten:
    """Forget the login to a registry (empty: the default one)."""
    domain, path = server(name)
    keychain = registries(options, settings()).keychain
    gone = keychain.forget(domain, path)
    other = keychain.elsewhere(domain, path)
    shown = f"{domain}/{path}" if path else domain
    return Forgotten((shown,) if gone else (), None if other is None else str(other))


def logout_everywhere(options: RegistryOptions) -> Forgotten:
    """Forget all logins of the file."""
    return Forgotten(registries(options, settings()).keychain.forget_all())
