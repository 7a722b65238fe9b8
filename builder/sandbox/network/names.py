"""How a step finds names: its /etc/resolv.conf and /etc/hosts, and the options that change them, as Docker has them.

Pure but for `resolver_files` and `host_address`, which look at this machine.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from pathlib import Path

from builder.errors import HostError, UsageError
from builder.sandbox.spec import FileMount, Names

# Stands for the address by which a step reaches this machine: Docker's word.
HOST_GATEWAY = "host-gateway"
_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
# TEST-NET-2 (RFC 5737): an address no machine has, so that the way to it is the way to all others.
_ANYWHERE = "198.51.100.1"


def parse_host(text: str) -> tuple[str, str]:
    """A value of --add-host, `NAME=ADDRESS` or `NAME:ADDRESS`, as name and address. Raises UsageError."""
    sign = "=" if "=" in text else ":"
    name, found, address = text.partition(sign)
    if not (name and found) or re.search(r"[\s#]", name):
        raise UsageError(f"--add-host {text}: not NAME=ADDRESS")
    if address == HOST_GATEWAY:
        return name, address
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if not _is_address(address):
        raise UsageError(f"--add-host {text}: {address!r} is no IP address", hint=f"or the word {HOST_GATEWAY}")
    return name, address


def parse_names(hosts: Sequence[str], servers: Sequence[str], search: Sequence[str], options: Sequence[str]) -> Names:
    """The values of --add-host, --dns, --dns-search and --dns-option. Raises UsageError."""
    for server in servers:
        if not _is_address(server):
            raise UsageError(f"--dns {server}: no IP address")
    for flag, values in (("--dns-search", search), ("--dns-option", options)):
        for value in values:
            if not re.fullmatch(r"[^\s#;]+", value):
                raise UsageError(f"{flag} {value!r}: not one word")
    return Names(tuple(map(parse_host, hosts)), tuple(servers), tuple(search), tuple(options))


def hosts_file(hostname: str, hosts: Sequence[tuple[str, str]] = ()) -> str:
    """/etc/hosts that knows localhost, `hosts` (name, address) and the step's own name."""
    more = "".join(f"{address}\t{name}\n" for name, address in hosts)
    return f"{_HOSTS}{more}127.0.0.1\t{hostname}\n"


def resolv_conf(machine: str, names: Names, *, own: bool, forwarder: str = "") -> str:
    """/etc/resolv.conf of a step (resolv.conf(5)), from the machine's.

    `own`: the step has a network of its own, so that a server on a loopback address, or on an IPv6 one, is not the
    machine's there; `forwarder` is asked when no other is left. A list of `names` replaces the machine's, and the
    search list `.` is an empty one.
    """
    if not (own or names.servers or names.search or names.options):
        return machine
    given = [line.split() for line in machine.splitlines()]
    servers = names.servers or _last(given, "nameserver", every=True)
    if own and not names.servers:
        servers = tuple(filter(_is_outside, servers)) or ((forwarder,) if forwarder else ())
    search = names.search or _last(given, "search") or _last(given, "domain")
    options = names.options or _last(given, "options", every=True)
    lines = [f"nameserver {server}" for server in servers]
    if search and search != (".",):
        lines.append(f"search {' '.join(search)}")
    if options:
        lines.append(f"options {' '.join(options)}")
    return "".join(f"{line}\n" for line in lines)


def _last(lines: Sequence[Sequence[str]], word: str, *, every: bool = False) -> tuple[str, ...]:
    """The values after `word` of its last line, or of all of its lines."""
    found = [line[1:] for line in lines if line[:1] == [word]]
    return tuple(value for values in (found if every else found[-1:]) for value in values)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_outside(server: str) -> bool:
    """Whether a name server of the machine can be the same one for a step with an (IPv4) network of its own."""
    try:
        address = ipaddress.IPv4Address(server)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def host_address() -> str:
    """The address of this machine on its way to others. Raises HostError when there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ANYWHERE, 9))  # sends nothing
        except OSError as error:
            raise HostError(
                f"{HOST_GATEWAY} means nothing here: this machine has no address but its loopback's",
                hint="name an address with --add-host",
            ) from error
        return str(probe.getsockname()[0])


def resolver_files(hostname: str, names: Names, *, own: bool, forwarder: str = "") -> tuple[FileMount, ...]:
    """/etc/resolv.conf and /etc/hosts of a step; see `resolv_conf` and `hosts_file`. Raises HostError."""
    try:
        machine = Path("/etc/resolv.conf").read_text(errors="replace")
    except OSError:
        machine = ""
    resolv = resolv_conf(machine, names, own=own, forwarder=forwarder)
    hosts = [(name, host_address() if address == HOST_GATEWAY else address) for name, address in names.hosts]
    found = FileMount("/etc/resolv.conf", resolv.encode())
    return (found,) if names.no_hosts else (found, FileMount("/etc/hosts", hosts_file(hostname, hosts).encode()))
