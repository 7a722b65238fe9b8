"""How registries prove who they are, and we to them: the system's CAs, and certs.d.

As containers-certs.d(5) and Docker have it, a directory is called like the registry, with its port where it has one:

    HOST[:PORT]/*.crt            CAs, beside the system's
    HOST[:PORT]/NAME.cert        a certificate of ours,
    HOST[:PORT]/NAME.key         and its key
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder.errors import RegistryError


def directories(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where certs.d may be: the user's, then the machine's."""
    own = environ.get("XDG_CONFIG_HOME", "")
    home = Path(own) if own.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".config"
    return home / "containers/certs.d", Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d")


def of_host(host: str, above: tuple[Path, ...]) -> tuple[Path, ...]:
    """The directories with certificates for `host`, those that are there."""
    return tuple(found for directory in above if (found := directory / host).is_dir())


def context(host: str, found: tuple[Path, ...], *, verify: bool = True) -> ssl.SSLContext:
    """TLS as `host` is to be spoken to. Raises RegistryError for files that cannot be used."""
    made = ssl.create_default_context()
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    for directory in found:
        for path, key in _files(host, directory):
            try:
                if key is None:
                    made.load_verify_locations(path)
                else:
                    made.load_cert_chain(path, key, _no_password)
            except (ssl.SSLError, OSError) as error:
                raise RegistryError(f"{path} cannot be used for {host}: {_said(error)}") from error
    return made


def _files(host: str, directory: Path) -> Iterator[tuple[Path, Path | None]]:
    """CAs, each with None, and certificates of ours, each with its key."""
    try:
        names = sorted(path.name for path in directory.iterdir())
    except OSError as error:
        raise RegistryError(f"{directory} cannot be read: {error.strerror}") from error
    for name in names:
        path = directory / name
        if path.suffix == ".crt":
            yield path, None
        elif path.suffix == ".cert":
            key = path.with_suffix(".key")
            if key.name not in names:
                raise RegistryError(f"{path} has no key: {key.name} is missing", hint=f"CAs of {host} end in .crt")
            yield path, key


def _no_password() -> str:
    raise OSError("its key has a password")


def _said(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error).lower().replace("_", " ")
