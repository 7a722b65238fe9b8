"""Trying a login before it is kept, and reading what a user calls a registry."""

from __future__ import annotations

import re

from builder.errors import RegistryError, UsageError
from builder.image.reference import DEFAULT_DOMAIN
from builder.registry import answers
from builder.registry.auth import Login
from builder.registry.exchange import Call
from builder.registry.host import Visit, answer_of
from builder.registry.rules import LOCATION


def server(text: str) -> tuple[str, str]:
    """The host that a user named, and the path below it, mostly none. Empty is the default registry. Raises UsageError.

    URLs, as Docker's programs take them, mean their host.
    """
    bare = re.sub(r"^https?://", "", text.strip()).rstrip("/")
    bare = re.sub(r"/v[12]$", "", bare)
    found = LOCATION.fullmatch(bare)
    if bare in ("", "index.docker.io", "registry-1.docker.io"):
        return DEFAULT_DOMAIN, ""
    if found is None:
        raise UsageError(f"{text!r} is not a registry", hint="use HOST[:PORT], or HOST[:PORT]/PATH for a part of it")
    return found["host"], found["path"].strip("/")


def verified(visit: Visit, login: Login) -> Login:
    """The login as it is to be kept, once the registry has taken it: maybe with an identity token and no password.

    Raises RegistryError when it is not accepted. A registry that asks for no login takes any.
    """
    host = visit.host
    with host.send(Call("GET", "/v2/", {})) as response:
        status, url, refused = response.status, response.url, answer_of(response)
    identity = ""
    if status == 401:
        token = visit.flow(refused, url, (), login, offline=True)
        identity = token.identity
        with host.send(Call("GET", "/v2/", {"Authorization": token.header})) as response:
            status, refused = response.status, answer_of(response)
    if status in (401, 403):
        raise RegistryError(f"{host.shown} does not accept the login (status {status}){answers.said(refused.body)}")
    if status != 200:
        raise RegistryError(
            f"{host.shown} answered {status} when asked for /v2/", hint="is it a registry? Nothing was stored"
        )
    return Login(login.username, identity=identity) if identity else login
