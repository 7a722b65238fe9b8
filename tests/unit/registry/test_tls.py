"""Where certificates are looked for; tests/system/test_registry_http.py uses them over connections."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from builder.errors import RegistryError
from builder.registry import tls


def test_the_users_directory_comes_first(tmp_path: Path) -> None:
    machine = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))
    assert tls.directories({"HOME": "/home/me"}) == (Path("/home/me/.config/containers/certs.d"), *machine)
    assert tls.directories({"HOME": "/home/me", "XDG_CONFIG_HOME": "/c"})[0] == Path("/c/containers/certs.d")
    # XDG base directory specification: a relative path is to be ignored
    assert tls.directories({"HOME": "/h", "XDG_CONFIG_HOME": "c"})[0] == Path("/h/.config/containers/certs.d")


def test_a_host_has_the_directories_called_like_it(tmp_path: Path) -> None:
    for name in ("a/r.example:5000", "b/r.example", "b/r.example:5000"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a/file").write_text("")
    above = (tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert tls.of_host("r.example:5000", above) == (tmp_path / "a/r.example:5000", tmp_path / "b/r.example:5000")
    assert tls.of_host("r.example", above) == (tmp_path / "b/r.example",)
    assert tls.of_host("file", above) == ()


def test_without_verifying_nothing_is_verified() -> None:
    assert tls.context("r.example", ()).verify_mode == ssl.CERT_REQUIRED
    lax = tls.context("r.example", (), verify=False)
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_NONE, False)


def test_a_ca_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("nonsense")
    with pytest.raises(RegistryError, match=r"ca\.crt cannot be used for r\.example"):
        tls.context("r.example", (tmp_path,))
