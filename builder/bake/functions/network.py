"""Networks: addresses and prefixes."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network

from builder.bake.functions.declare import Function, whole
from builder.bake.values import MeaningError, Value, to_string

Network = IPv4Network | IPv6Network


def _network(text: str) -> Network:
    if "/" not in text:
        raise MeaningError(f"{text!r} is no prefix as in 10.0.0.0/8")
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise MeaningError(f"{text!r} is no prefix as in 10.0.0.0/8") from error


def _host(prefix: str, number: int) -> str:
    network = _network(prefix)
    place = number + network.num_addresses if number < 0 else number
    if not 0 <= place < network.num_addresses:
        raise MeaningError(f"{prefix} has no address {number}")
    return str(network[place])


def _netmask(prefix: str) -> str:
    network = _network(prefix)
    if network.version != 4:
        raise MeaningError("only IPv4 has such masks")
    return str(network.netmask)


def _subnet(prefix: str, bits: int, number: int) -> str:
    network = _network(prefix)
    length = network.prefixlen + bits
    if bits < 0 or length > network.max_prefixlen:
        raise MeaningError(f"{prefix} cannot be extended by {bits} bits")
    if not 0 <= number < 1 << bits:
        raise MeaningError(f"{bits} bits do not hold {number}")
    base = int(network.network_address) + (number << (network.max_prefixlen - length))
    return str(type(network)((base, length)))


def _subnets(prefix: str, *bits: int) -> Value:
    network = _network(prefix)
    at, end, found = int(network.network_address), int(network.broadcast_address), list[Value]()
    for more in bits:
        length = network.prefixlen + more
        if more < 1 or length > network.max_prefixlen:
            raise MeaningError(f"{prefix} cannot be extended by {more} bits")
        size = 1 << (network.max_prefixlen - length)
        at = (at + size - 1) // size * size
        if at + size - 1 > end:
            raise MeaningError(f"{prefix} has no room for all of them")
        found.append(str(type(network)((at, length))))
        at += size
    return found


FUNCTIONS: Mapping[str, Function] = {
    "cidrhost": Function(_host, (to_string, whole)),
    "cidrnetmask": Function(_netmask, (to_string,)),
    "cidrsubnet": Function(_subnet, (to_string, whole, whole)),
    "cidrsubnets": Function(_subnets, (to_string,), whole),
}
