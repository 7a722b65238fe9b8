"""The password of a private key: from COSIGN_PASSWORD, as cosign has it, or from the terminal. It is never shown."""

from __future__ import annotations

import getpass
import os
import sys

from builder.errors import UsageError

VARIABLE = "COSIGN_PASSWORD"


def ask() -> bytes:
    """The password of a key that is there. Raises UsageError where there is nobody to ask."""
    given = os.environ.get(VARIABLE)
    return given.encode(errors="surrogateescape") if given is not None else _typed("Password of the private key: ")


def ask_twice() -> bytes:
    """The password of a key that is made. Raises UsageError, also when it is typed differently."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return given.encode(errors="surrogateescape")
    first = _typed("Password of the new private key: ")
    if _typed("The same again: ") != first:
        raise UsageError("the two passwords differ")
    return first


def _typed(prompt: str) -> bytes:
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked for the password of the private key", hint=f"give it in {VARIABLE}")
    try:
        return getpass.getpass(prompt, sys.stderr).encode()
    except EOFError as error:
        raise UsageError("no password was given") from error
