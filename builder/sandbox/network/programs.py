"""The programs that carry a network namespace's packets in user mode, and how each is told to.

A step's network is two of them, one behind the other:

    this machine ─ outer ─ middle namespace ─ inner ─ the step's namespace
                  10.0.4.0/24                10.0.2.0/24

One would do for the packets, but not for the line: what an address means is decided by the program, in whose own
network it then opens an ordinary socket. slirp4netns, told to disable the host's loopback, only refuses its gateway's
address; a packet to 127.0.0.1, which any process can send with SO_BINDTODEVICE (socket(7)), still reaches a service
on this machine's loopback. With a second program in between such a packet ends at the loopback of the middle
namespace, where nothing listens. IPv4 only: slirp4netns calls its IPv6 an experiment.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from builder.linux.ids import find_program

# In this order they are asked: slirp4netns starts several times faster (docs/decisions/0010).
KNOWN = {"slirp4netns": "slirp4netns", "pasta": "passt"}
# The descriptor on which a program says that it is ready.
READY = 3
_MTU = "65520"


class Link(StrEnum):
    """The two links of a step's network, by the first bytes of their addresses."""

    OUTER = "10.0.4"
    INNER = "10.0.2"


# Hands questions on to the name server of this machine, wherever that listens.
FORWARDER = f"{Link.OUTER}.3"


class Program(Struct, frozen=True):
    """A program found on this machine: its name, its path, and what makes it another one when it changes."""

    name: str
    path: str
    modified_ns: int

    @property
    def daemonizes(self) -> bool:
        """Whether it is ready when the process that was started ends, with 0; else it writes to READY."""
        return self.name == "pasta"

    def command(self, link: Link, pid: int) -> list[str]:
        """What to execute so that the network namespace of the process `pid` becomes the end of `link`.

        `pid` must have no capabilities, or pasta may not look at it (ptrace(2)).
        """
        made = _pasta(link) if self.daemonizes else _slirp4netns(link)
        target = f"/proc/{pid}/ns/net"
        return [self.path, *made, *(["--netns", target] if self.daemonizes else [target, "tap0"])]


def found() -> list[Program]:
    """Those of this machine, the better first."""
    programs = []
    for name in KNOWN:
        path = find_program(name)
        if path is not None:
            programs.append(Program(name, path, os.stat(path).st_mtime_ns))
    return programs


def version(program: Program) -> str:
    """What it says its version is; empty when it says nothing that one can read."""
    # lazy: only `pybuild doctor`
    import subprocess

    try:
        done = subprocess.run([program.path, "--version"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].removeprefix(program.name).strip()


def packages(names: Sequence[str] = tuple(KNOWN)) -> str:
    """The Debian packages of programs, as a choice."""
    return " or ".join(KNOWN[name] for name in names)


def _slirp4netns(link: Link) -> list[str]:
    return [
        "--configure",
        f"--mtu={_MTU}",
        f"--cidr={link}.0/24",
        "--disable-host-loopback",
        *(["--disable-dns"] if link is Link.INNER else []),
        # Its own confinement: an empty root, no capabilities, no system calls that start anything.
        "--enable-sandbox",
        "--enable-seccomp",
        f"--ready-fd={READY}",
        "--netns-type=path",
    ]


def _pasta(link: Link) -> list[str]:
    return [
        "--config-net", "--ipv4-only", "--netns-only", "--quiet",
        "--ns-ifname", "tap0", "--mtu", _MTU,
        "--address", f"{link}.100", "--netmask", "255.255.255.0", "--gateway", f"{link}.2",
        *(["--dns-forward", f"{link}.3"] if link is Link.OUTER else []),
        "--no-map-gw", "--no-dhcp",
        "-t", "none", "-u", "none", "-T", "none", "-U", "none",
        # Root of the user namespace it is started in, which it leaves nothing of by its own confinement.
        "--runas", "0:0",
    ]  # fmt: skip
