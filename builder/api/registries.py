"""Access to registries, as options and files say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from builder.config.settings import Value
from builder.registry.auth import Login
from builder.registry.endpoints import Registries, RegistrySettings
from builder.registry.rules import Insecure, checked_insecure, default_mirror
from builder.request import RegistryOptions


def registries(
    options: RegistryOptions | None, settings: Mapping[str, Value], patience: float | None = None
) -> Registries:
    """All registries. Raises UsageError for options that cannot be meant so."""
    asked = options or RegistryOptions()
    return Registries(
        RegistrySettings(
            insecure=Insecure(tuple(map(checked_insecure, asked.insecure)), everyone=not asked.tls_verify),
            mirrors=tuple(map(default_mirror, asked.mirrors)),
            rules=settings["registry"].value,
            authfile=asked.authfile,
            verify_keys=asked.verify_keys,
            patience=patience,
            login=None if asked.creds is None else Login(*asked.creds),
            certificates=None if asked.cert_dir is None else Path(asked.cert_dir),
        )
    )
