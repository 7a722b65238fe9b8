"""What a user may call a registry."""

from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.registry.login import server


@pytest.mark.parametrize(
    ("text", "domain", "path"),
    [
        ("", "docker.io", ""),
        ("docker.io", "docker.io", ""),
        ("https://index.docker.io/v1/", "docker.io", ""),
        ("registry-1.docker.io", "docker.io", ""),
        ("r.example", "r.example", ""),
        ("http://r.example:5000/", "r.example:5000", ""),
        ("https://r.example/v2/", "r.example", ""),
        ("[::1]:5000", "[::1]:5000", ""),
        ("r.example/team/app", "r.example", "team/app"),
        (" localhost ", "localhost", ""),
    ],
)
def test_registries(text: str, domain: str, path: str) -> None:
    assert server(text) == (domain, path)


@pytest.mark.parametrize("text", ["ftp://r.example", "a b", "r.example/UPPER", "r.example:port", "u:p@r.example", "-"])
def test_what_is_no_registry(text: str) -> None:
    with pytest.raises(UsageError, match="is not a registry"):
        server(text)
