"""resolv.conf and hosts of steps, and the options that change them."""

from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.sandbox.network.names import HOST_GATEWAY, hosts_file, parse_host, parse_names, resolv_conf
from builder.sandbox.spec import Names

MACHINE = """# made by hand
nameserver 127.0.0.53
nameserver 192.0.2.53
nameserver 2001:db8::53
search old.test
search corp.test lab.test
options ndots:2 timeout:1
options edns0
"""


def test_the_machines_own_is_kept_as_it_is_in_its_network() -> None:
    assert resolv_conf(MACHINE, Names(), own=False) == MACHINE


def test_in_a_network_of_its_own_only_servers_that_are_there_are_asked() -> None:
    """The last search line counts, all options do (resolv.conf(5))."""
    shown = resolv_conf(MACHINE, Names(), own=True, forwarder="10.0.4.3")
    assert shown == "nameserver 192.0.2.53\nsearch corp.test lab.test\noptions ndots:2 timeout:1 edns0\n"


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.53", "::1", "0.0.0.0", "2001:db8::53", "fe80::1%eth0", "?"])
def test_a_forwarder_is_asked_when_no_server_is_left(server: str) -> None:
    assert resolv_conf(f"nameserver {server}\n", Names(), own=True, forwarder="10.0.4.3") == "nameserver 10.0.4.3\n"
    assert resolv_conf(f"nameserver {server}\n", Names(), own=True) == ""


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (Names(servers=("::1", "192.0.2.1")), "nameserver ::1\nnameserver 192.0.2.1\nsearch corp.test lab.test\n"),
        (Names(search=("a.test", "b.test")), "nameserver 192.0.2.53\nsearch a.test b.test\n"),
        (Names(search=(".",)), "nameserver 192.0.2.53\n"),
    ],
)
def test_what_is_given_stands_in_for_the_machines(names: Names, expected: str) -> None:
    assert resolv_conf(MACHINE, names, own=True) == f"{expected}options ndots:2 timeout:1 edns0\n"


def test_options_stand_in_too_and_in_the_hosts_network_as_well() -> None:
    shown = resolv_conf("nameserver 127.0.0.1\ndomain x.test\noptions a\n", Names(options=("b", "c")), own=False)
    assert shown == "nameserver 127.0.0.1\nsearch x.test\noptions b c\n"


def test_hosts_know_what_is_added_before_the_own_name() -> None:
    lines = hosts_file("step", (("one", "192.0.2.1"), ("six", "2001:db8::1"))).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-3:] == ["192.0.2.1\tone", "2001:db8::1\tsix", "127.0.0.1\tstep"]


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("one=192.0.2.1", "one", "192.0.2.1"),
        ("one:192.0.2.1", "one", "192.0.2.1"),
        ("six=2001:db8::1", "six", "2001:db8::1"),
        ("six:2001:db8::1", "six", "2001:db8::1"),
        ("six:[::1]", "six", "::1"),
        ("me:host-gateway", "me", HOST_GATEWAY),
    ],
)
def test_a_host_is_a_name_and_an_address(text: str, name: str, address: str) -> None:
    assert parse_host(text) == (name, address)


@pytest.mark.parametrize(
    "text", ["", "name", "=192.0.2.1", "a b=192.0.2.1", "a#=192.0.2.1", "a=b", "a=", "a=1\n2", "a:b:c"]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--add-host"):
        parse_host(text)


@pytest.mark.parametrize("place", [1, 2, 3])
def test_no_value_adds_a_line_of_its_own(place: int) -> None:
    values: list[tuple[str, ...]] = [(), (), (), ()]
    values[place] = ("192.0.2.1\nnameserver 192.0.2.2",)
    with pytest.raises(UsageError):
        parse_names(*values)
