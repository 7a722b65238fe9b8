"""What --secret and --ssh name on this machine. Values are read when a step needs them, and kept nowhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence

from msgspec import Struct

from builder.errors import BadInputError, NotFoundError, UsageError, suggestion
from builder.lang.gobool import parse_bool
from builder.lang.mounts import MountError, fields

LARGEST = 500 << 10
_KEYS = ("id", "src", "source", "env", "type", "cachekey")


class SecretSource(Struct, frozen=True):
    """Where a secret's value is: in the file `path`, or in the environment variable `variable`.

    `in_key`: another value is to run the steps that have it again.
    """

    path: str = ""
    variable: str = ""
    in_key: bool = False


class Secrets(Struct, frozen=True):
    """Secrets and SSH agents by id. `held` has the values that keys were made of, which steps must then see."""

    sources: Mapping[str, SecretSource] = {}
    agents: Mapping[str, str] = {}
    held: dict[str, bytes] = {}

    def value(self, name: str) -> bytes | None:
        """The value of a secret; None when it was not given. Raises NotFoundError and BadInputError, never with it."""
        source = self.sources.get(name)
        if source is None:
            return None
        if source.in_key and name not in self.held:
            self.held[name] = _value(name, source)
        return self.held[name] if source.in_key else _value(name, source)

    def in_key(self, name: str) -> bool:
        """Whether the value of a secret counts in keys."""
        return name in self.sources and self.sources[name].in_key

    def agent(self, name: str) -> str | None:
        """The socket of an SSH agent; None when it was not given."""
        return self.agents.get(name)


def parse(secrets: Sequence[str], ssh: Sequence[str]) -> Secrets:
    """What the values of --secret and --ssh say. Raises UsageError, and NotFoundError for a file that is not there."""
    agents = dict(_agent(text) for text in ssh)
    return Secrets(dict(_secret(text) for text in secrets), agents)


def _value(name: str, source: SecretSource) -> bytes:
    if source.variable:
        return _checked(name, os.environb.get(os.fsencode(source.variable), b""))
    try:
        with open(source.path, "rb") as file:
            return _checked(name, file.read(LARGEST + 1))
    except OSError as error:
        raise NotFoundError(f"the file of secret {name} cannot be read: {source.path}: {error.strerror}") from error


def _checked(name: str, value: bytes) -> bytes:
    if len(value) > LARGEST:
        raise BadInputError(f"secret {name} is larger than {LARGEST >> 10} KiB")
    return value


def _secret(text: str) -> tuple[str, SecretSource]:
    found: dict[str, str] = {}
    try:
        written = fields(text)
    except MountError as error:
        raise UsageError(f"--secret {text}: {error.message}", hint=error.hint) from error
    for field in written:
        key, equals, value = field.partition("=")
        name = key.lower()
        if not equals:
            raise UsageError(f"--secret {text}: {field!r} must be key=value", hint="--secret id=NAME,src=FILE")
        if name not in _KEYS:
            raise UsageError(f"--secret {text}: there is no key {key!r}", hint=suggestion(name, _KEYS))
        found["src" if name == "source" else name] = value
    name, kind = found.get("id", ""), found.get("type", "")
    if not name:
        raise UsageError(f"--secret {text} has no id", hint="--secret id=NAME,src=FILE")
    if kind not in ("", "file", "env"):
        raise UsageError(f"--secret {text}: there is no type {kind!r}", hint="use type=file or type=env")
    in_key = parse_bool(found.get("cachekey", "false"))
    if in_key is None:
        raise UsageError(f"--secret {text}: cachekey is true or false, not {found['cachekey']!r}")
    path, variable = found.get("src", ""), found.get("env", "")
    if kind == "env" and not variable:
        path, variable = "", path
    if not path and not variable:
        # As in BuildKit: a variable of that name, else a file of that name.
        path, variable = ("", name) if name in os.environ else (name, "")
    if not variable:
        _check_file(name, path)
    return name, SecretSource("" if variable else os.path.abspath(path), variable, in_key)


def _check_file(name: str, path: str) -> None:
    try:
        found = os.stat(path)
    except OSError as error:
        raise NotFoundError(f"the file of secret {name} is not there: {path}: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"--secret id={name}: {path} is a directory")
    if found.st_size > LARGEST:
        raise BadInputError(f"secret {name} is larger than {LARGEST >> 10} KiB")


def _agent(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not name:
        raise UsageError(f"--ssh {text} has no id", hint="--ssh default, or --ssh ID=SOCKET")
    if not equals:
        path = os.environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise UsageError(f"--ssh {text}: SSH_AUTH_SOCK is not set", hint="start an agent: eval $(ssh-agent)")
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError as error:
        raise NotFoundError(f"--ssh {text}: {path}: {error.strerror}") from error
    if not is_socket:
        raise UsageError(
            f"--ssh {text}: {path} is no socket; key files are not read",
            hint="put the key into an agent: eval $(ssh-agent); ssh-add FILE, and pass --ssh default",
        )
    return name, os.path.abspath(path)
