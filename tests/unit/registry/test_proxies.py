"""Which proxy is asked, as Go's programs read the variables."""

from __future__ import annotations

import pytest

from builder.registry.proxies import is_loopback, proxy_of

BOTH = {"HTTP_PROXY": "http://h:1", "https_proxy": "http://s:2"}


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("http://r.example/a", BOTH, "http://h:1"),
        ("https://r.example/a", BOTH, "http://s:2"),
        ("https://r.example/a", {}, ""),
        ("https://r.example/a", {"HTTP_PROXY": "http://h:1"}, ""),
        ("https://r.example/a", {"ALL_PROXY": "http://all:3"}, "http://all:3"),
        ("https://r.example/a", {"HTTPS_PROXY": "bare:4"}, "http://bare:4"),
        ("http://localhost:5000/a", BOTH, ""),
        ("http://127.1.2.3:5000/a", BOTH, ""),
        ("http://[::1]:5000/a", BOTH, ""),
        ("http://r.example:port/a", BOTH, ""),
    ],
)
def test_a_proxy_by_scheme_and_never_for_this_machine(url: str, environ: dict[str, str], expected: str) -> None:
    assert proxy_of(url, environ) == expected


@pytest.mark.parametrize(
    ("no_proxy", "host", "expected"),
    [
        ("*", "r.example", True),
        ("r.example", "r.example", True),
        ("r.example", "a.r.example", True),
        ("r.example", "other.example", False),
        ("r.example", "bar.example", False),
        (".r.example", "a.r.example", True),
        (".r.example", "r.example", False),
        ("*.r.example", "a.r.example", True),
        ("R.Example , other", "r.example", True),
        ("r.example:443", "r.example", True),
        ("r.example:444", "r.example", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "r.example", False),
        ("10.0.0.0/99", "10.1.2.3", False),
        ("fc00::/7", "[fc00::1]", True),
        ("::1", "[fc00::1]", False),
        ("", "r.example", False),
        (" , ", "r.example", False),
    ],
)
def test_exceptions(no_proxy: str, host: str, expected: bool) -> None:
    found = proxy_of(f"https://{host}/a", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": no_proxy})
    assert found == ("" if expected else "http://p:1")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("Localhost:5000", True),
        ("a.localhost", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("128.0.0.1", False),
        ("r.example", False),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("", False),
    ],
)
def test_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
