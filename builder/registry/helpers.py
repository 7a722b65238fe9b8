"""Credential helpers: programs `docker-credential-NAME` that keep logins (docker-credential-helpers' protocol)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress

import msgspec

from builder.errors import RegistryError
from builder.readied import readied
from builder.registry.auth import Login
from builder.registry.words import printable

# Whoever is asked by a helper to unlock a keychain needs a while; who never answers must not hold up a build.
SECONDS = 60.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# What helpers say when they have nothing (docker-credential-helpers, credentials/error.go).
_NOTHING = ("credentials not found in native keychain", "no credentials server URL", "no credentials username")
# The name under which helpers keep an identity token (docker/cli, credentials/native_store.go).
IDENTITY = "<token>"


class _Kept(msgspec.Struct, rename="pascal"):
    username: str = ""
    secret: str = ""


def get(name: str, server: str) -> Login | None:
    """What the helper has for `server`; None for nothing. Raises RegistryError."""
    out = _run(name, "get", server.encode())
    if out is None:
        return None
    try:
        found = msgspec.json.decode(out, type=readied(_Kept))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"docker-credential-{name} gave what cannot be read for {server}") from error
    if not found.secret:
        return None
    return Login(identity=found.secret) if found.username == IDENTITY else Login(found.username, found.secret)


def store(name: str, server: str, login: Login) -> None:
    """Have the helper keep a login. Raises RegistryError."""
    kept = (IDENTITY, login.identity) if login.identity else (login.username, login.password)
    document = {"ServerURL": server, "Username": kept[0], "Secret": kept[1]}
    _run(name, "store", msgspec.json.encode(document), secret=kept[1])


def erase(name: str, server: str) -> bool:
    """Have the helper forget a login; whether it had one. Raises RegistryError."""
    if get(name, server) is None:
        return False
    _run(name, "erase", server.encode())
    return True


def servers(name: str) -> tuple[str, ...]:
    """The servers the helper has logins for. Raises RegistryError."""
    try:
        return tuple(msgspec.json.decode(_run(name, "list", b"") or b"{}", type=readied(dict[str, str])))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryError(f"docker-credential-{name} gave a list that cannot be read") from error


def _run(name: str, action: str, given: bytes, secret: str = "") -> bytes | None:
    """What the helper prints; None when it has nothing. Raises RegistryError, without the `secret`."""
    if not _NAME.fullmatch(name):
        raise RegistryError(f"{name[:100]!r} cannot be the name of a credential helper")
    program = f"docker-credential-{name}"
    try:
        # A group of its own: what it starts ends with it.
        running = subprocess.Popen(
            [program, action],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except OSError as error:
        raise RegistryError(
            f"the credential helper {program} cannot be run: {error.strerror}",
            hint="it is named by credsStore or credHelpers in the file with credentials",
        ) from error
    with running:
        try:
            out, err = running.communicate(given, timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise RegistryError(
                f"the credential helper {program} does not answer within {SECONDS:.0f} seconds"
            ) from error
        finally:
            if running.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
    if running.returncode == 0:
        return out
    told = " ".join((out + b" " + err).decode(errors="replace").split())
    if any(words.lower() in told.lower() for words in _NOTHING):
        return None
    told = printable(told.replace(secret, "…") if secret else told)
    raise RegistryError(f"the credential helper {program} failed to {action} a login: {told or running.returncode}")
