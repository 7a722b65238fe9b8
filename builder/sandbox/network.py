"""Name resolution for steps: the files that say where names are looked up. Namespaces: see run.py."""

from __future__ import annotations

from pathlib import Path

from builder.sandbox.spec import FileMount

_HOSTS = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""


def resolver_files(hostname: str) -> tuple[FileMount, ...]:
    """/etc/resolv.conf as on the host, and /etc/hosts that knows the step's own name."""
    try:
        resolv = Path("/etc/resolv.conf").read_bytes()
    except OSError:
        resolv = b""
    hosts = f"{_HOSTS}127.0.0.1\t{hostname}\n".encode()
    return FileMount("/etc/resolv.conf", resolv), FileMount("/etc/hosts", hosts)
