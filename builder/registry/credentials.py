"""Where logins are kept: Docker's config.json and containers' auth.json, and the helpers these name.

    $REGISTRY_AUTH_FILE, --authfile           alone, where one is given; else, in this order:
    $DOCKER_CONFIG/config.json                without the variable ~/.docker/config.json
    $XDG_RUNTIME_DIR/containers/auth.json     without the variable /run/containers/UID/auth.json
    $XDG_CONFIG_HOME/containers/auth.json     without the variable ~/.config/containers/auth.json

    {"auths": {"HOST[/PATH]": {"auth": base64 of NAME:PASSWORD, "identitytoken": TOKEN}},
     "credHelpers": {"HOST": NAME}, "credsStore": NAME}

Keys with a path are containers' (containers-auth.json(5)): the longest that a repository is below counts.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from builder.errors import NotFoundError, RegistryError
from builder.image.reference import DEFAULT_DOMAIN
from builder.linux.files import write_atomically
from builder.linux.locks import locked_directory
from builder.registry import helpers
from builder.registry.auth import Login

# What Docker calls the default registry where it keeps logins.
DEFAULT_KEY = "https://index.docker.io/v1/"
_DEFAULT_NAMES = (DEFAULT_KEY, "index.docker.io", "registry-1.docker.io")
_LARGEST = 16 << 20


class Keychain:
    """Reads and keeps logins. `authfile` is the only file where it is given."""

    def __init__(self, authfile: str | None, environ: Mapping[str, str]) -> None:
        given = authfile or environ.get("REGISTRY_AUTH_FILE", "")
        self._given = Path(given) if given else None
        self._files = (self._given,) if self._given else _usual(environ)

    @property
    def file(self) -> Path:
        """Where logins are written."""
        return self._files[0]

    def find(self, domain: str, path: str) -> Login | None:
        """The login for a repository, None when there is none. Raises RegistryError; NotFoundError for no such file."""
        if self._given is not None and not self._given.exists():
            raise NotFoundError(f"the file with credentials {self._given} is not there")
        for file in self._files:
            document = _read(file)
            found = _helped(document, domain) or _written(file, document, domain, path)
            if found is not None:
                return found
        return None

    def keep(self, domain: str, path: str, login: Login) -> str | None:
        """Keep a login, in the file or by the helper it names. Gives the helper's name. Raises RegistryError."""
        key = _key(domain, path)
        with _changed(self.file) as document:
            helper = _helper(document, domain)
            entry: dict[str, str] = {}
            if helper is not None:
                helpers.store(helper, key, login)
            else:
                entry["auth"] = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
                if login.identity:
                    entry["identitytoken"] = login.identity
            _table(self.file, document, "auths")[key] = entry
        return helper

    def forget(self, domain: str, path: str) -> bool:
        """Forget a login; whether there was one. Raises RegistryError."""
        if not self.file.exists():
            return False
        with _changed(self.file) as document:
            helper = _helper(document, domain)
            kept = helper is not None and helpers.erase(helper, _key(domain, path))
            auths = _table(self.file, document, "auths")
            names = [name for name in auths if _bare(name) == (f"{domain}/{path}" if path else domain)]
            for name in names:
                del auths[name]
        return kept or bool(names)

    def forget_all(self) -> tuple[str, ...]:
        """Forget every login of the file, and what its helpers have of them. Gives the names. Raises RegistryError."""
        if not self.file.exists():
            return ()
        with _changed(self.file) as document:
            auths = _table(self.file, document, "auths")
            names = dict.fromkeys(map(_bare, auths))
            for helper in {*_table(self.file, document, "credHelpers").values(), document.get("credsStore")} - {
                None,
                "",
            }:
                for server in helpers.servers(helper):
                    names[_bare(server)] = None
                    helpers.erase(helper, server)
            auths.clear()
        return tuple(names)

    def elsewhere(self, domain: str, path: str) -> Path | None:
        """Another file that still has a login for a repository."""
        return next((f for f in self._files[1:] if _written(f, _read(f), domain, path) is not None), None)


def _usual(environ: Mapping[str, str]) -> tuple[Path, ...]:
    home = Path(environ.get("HOME") or Path.home())
    docker = environ.get("DOCKER_CONFIG", "")
    run = environ.get("XDG_RUNTIME_DIR", "")
    own = environ.get("XDG_CONFIG_HOME") or home / ".config"
    return (
        (Path(docker) if docker else home / ".docker") / "config.json",
        Path(run) / "containers/auth.json" if run else Path(f"/run/containers/{os.getuid()}/auth.json"),
        Path(own) / "containers/auth.json",
    )


# --- what a file says ----------------------------------------------------------------------------


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST)
        document = msgspec.json.decode(data) if data.strip() else {}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise RegistryError(f"the file with credentials {file} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"the file with credentials {file} is not JSON") from error
    if not isinstance(document, dict):
        raise _odd(file, "it is no object")
    return document


def _table(file: Path, document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.setdefault(name, {})
    if not isinstance(found, dict):
        raise _odd(file, f"{name} is no object")
    return found


def _written(file: Path, document: dict[str, Any], domain: str, path: str) -> Login | None:
    """The login that stands in a file itself."""
    auths = {_bare(name): entry for name, entry in _table(file, document, "auths").items()}
    parts = path.split("/") if path else []
    for count in range(len(parts), -1, -1):
        name = "/".join((domain, *parts[:count]))
        login = _login(file, name, auths.get(name))
        if login is not None:
            return login
    return None


def _login(file: Path, name: str, entry: Any) -> Login | None:
    if entry is None:
        return None
    if not isinstance(entry, dict) or not all(
        isinstance(v, str) for k, v in entry.items() if k != "auth" or v is not None
    ):
        raise _odd(file, f"what it says of {name} is no login")
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        try:
            decoded = base64.b64decode(entry["auth"], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise _odd(file, f"auth of {name} is not base64 of NAME:PASSWORD") from None
        username, colon, password = decoded.partition(":")
        if not colon:
            raise _odd(file, f"auth of {name} is not base64 of NAME:PASSWORD")
        password = password.rstrip("\0")  # as Docker does: some tools pad with it
    found = Login(username, password, entry.get("identitytoken", ""), entry.get("registrytoken", ""))
    return found if found != Login() else None


def _helped(document: dict[str, Any], domain: str) -> Login | None:
    """The login that a helper has."""
    helper = _helper(document, domain)
    return None if helper is None else helpers.get(helper, _key(domain, ""))


def _helper(document: dict[str, Any], domain: str) -> str | None:
    """The name of the helper for `domain`: its own, or that for all."""
    own = document.get("credHelpers")
    names = (domain, *_DEFAULT_NAMES) if domain == DEFAULT_DOMAIN else (domain,)
    found = next((own[name] for name in names if name in own), None) if isinstance(own, dict) else None
    found = document.get("credsStore") if found is None else found
    return found if isinstance(found, str) and found else None


def _key(domain: str, path: str) -> str:
    """The key that a login is kept under."""
    if domain == DEFAULT_DOMAIN and not path:
        return DEFAULT_KEY
    return f"{domain}/{path}" if path else domain


def _bare(key: str) -> str:
    """The host, with or without a path, that a key means: Docker's old ones are URLs of the API."""
    _, separator, rest = key.rpartition("://")
    if separator:
        rest = rest.partition("/")[0]
    rest = rest.rstrip("/").removesuffix("/v1").removesuffix("/v2")
    return DEFAULT_DOMAIN if rest in ("index.docker.io", "registry-1.docker.io") else rest


def _odd(file: Path, what: str) -> RegistryError:
    return RegistryError(f"the file with credentials {file} cannot be used: {what}")


@contextmanager
def _changed(file: Path) -> Iterator[dict[str, Any]]:
    """What a file says, to be changed, and written as a whole if it was. Raises RegistryError."""
    target = Path(os.path.realpath(file))  # a link, as of those who keep their settings elsewhere, stays one
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked_directory(target.parent):
            document = _read(file)
            before = msgspec.json.encode(document)
            yield document
            after = msgspec.json.encode(document)
            if after != before:
                write_atomically(str(target), msgspec.json.format(after, indent=2) + b"\n", 0o600)
    except OSError as error:
        raise RegistryError(f"the file with credentials {file} cannot be written: {error.strerror}") from error
