"""A machine of the test's own to run the program on: a network namespace with servers, a route and a name server.

    203.0.113.1:8080   answers `outside`
    127.0.0.1:8081     answers `loopback`; so do 127.0.0.1:8081/udp and the abstract socket `pybuild-test`
    127.0.0.53:53      names: every one is 203.0.113.7; 203.0.113.1:53 says 203.0.113.8

What reaches one of the second line is written down: `touched` tells. Nothing of the real machine's network is changed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.program import Pybuild

ADDRESS = "203.0.113.1"


@dataclass(frozen=True)
class Outside:
    pid: int
    directory: Path

    def enter(self, pybuild: Pybuild) -> Pybuild:
        """The program, started on that machine."""
        nsenter = ("nsenter", f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt")
        return replace(pybuild, prefix=(*nsenter, "env", f"--chdir={pybuild.work}", *pybuild.prefix))

    @property
    def touched(self) -> list[str]:
        """What reached a server that no step may reach."""
        return (self.directory / "touched").read_text().split()


@contextmanager
def outside(directory: Path, *, resolv: str = "nameserver 127.0.0.53\n", tun: int | None = None) -> Iterator[Outside]:
    """The machine; `resolv` is its /etc/resolv.conf, and `tun` the mode of its /dev/net/tun where it has its own."""
    directory.mkdir()
    (directory / "resolv.conf").write_text(resolv)
    (directory / "touched").write_text("")
    mode = [] if tun is None else [f"{tun:o}"]
    process = subprocess.Popen(
        ["unshare", "--net", "--mount", sys.executable, __file__, str(directory), *mode],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield Outside(process.pid, directory)
        finally:
            process.kill()


# --- on that machine -----------------------------------------------------------------------------


def _set_up(directory: Path, tun: str | None) -> None:
    (directory / "dev").mkdir()
    for command in (
        "mount --make-rprivate /",
        "ip link set lo up",
        "ip link add near type veth peer name far",
        f"ip address add {ADDRESS}/24 dev near",
        "ip link set near up",
        "ip link set far up",
        "ip route add default via 203.0.113.254",
        f"mount --bind {directory}/resolv.conf /etc/resolv.conf",
    ):
        subprocess.run(command.split(), check=True)
    if tun is not None:
        subprocess.run(["mount", "-t", "tmpfs", "tun", f"{directory}/dev"], check=True)
        subprocess.run(["mknod", "-m", tun, f"{directory}/dev/tun", "c", "10", "200"], check=True)
        subprocess.run(["mount", "--bind", f"{directory}/dev/tun", "/dev/net/tun"], check=True)


def _serve(directory: Path) -> None:
    # These are the test's own needs on that machine alone.
    import selectors
    import socket

    def listening(family: int, address: object) -> socket.socket:
        server = socket.socket(family, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)  # type: ignore[arg-type]
        server.listen()
        return server

    def datagrams(address: tuple[str, int]) -> socket.socket:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(address)
        return server

    def touched(what: str) -> None:
        with (directory / "touched").open("a") as file:
            file.write(f"{what}\n")

    def answer(server: socket.socket, text: bytes, forbidden: str = "") -> None:
        client, _ = server.accept()
        with client:
            if forbidden:
                touched(forbidden)
            client.sendall(text)

    def note(server: socket.socket, forbidden: str) -> None:
        server.recvfrom(1000)
        touched(forbidden)

    def resolve(server: socket.socket, address: str) -> None:
        query, peer = server.recvfrom(1000)
        end = query.index(b"\0", 12) + 5
        is_a = query[end - 4 : end - 2] == b"\0\1"
        head = query[:2] + b"\x81\x80" + b"\0\1" + (b"\0\1" if is_a else b"\0\0") + b"\0\0\0\0"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(address)
        server.sendto(head + query[12:end] + (record if is_a else b""), peer)

    loopback = ("127.0.0.1", 8081)
    servers = [
        (listening(socket.AF_INET, (ADDRESS, 8080)), lambda s: answer(s, b"outside\n")),
        (listening(socket.AF_INET, loopback), lambda s: answer(s, b"loopback\n", "tcp")),
        (listening(socket.AF_UNIX, "\0pybuild-test"), lambda s: answer(s, b"abstract\n", "abstract")),
        (datagrams(loopback), lambda s: note(s, "udp")),
        (datagrams(("127.0.0.53", 53)), lambda s: resolve(s, "203.0.113.7")),
        (datagrams((ADDRESS, 53)), lambda s: resolve(s, "203.0.113.8")),
    ]
    with selectors.DefaultSelector() as selector:
        for server, act in servers:
            selector.register(server, selectors.EVENT_READ, act)
        print("ready", flush=True)
        while True:
            for key, _ in selector.select():
                key.data(key.fileobj)


if __name__ == "__main__":
    _set_up(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
    _serve(Path(sys.argv[1]))
