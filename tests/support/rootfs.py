"""Root file systems and archives made for tests."""

from __future__ import annotations

import io
import subprocess
import tarfile
from functools import cache
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n"
GROUP = "root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n"


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(
    name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644, **more: object
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def directory(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, kind=tarfile.DIRTYPE, mode=mode)


@cache
def busybox_rootfs() -> bytes:
    """A tar of busybox, its applets as links, /etc/passwd and /tmp."""
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    return tar(
        directory("bin"),
        member("bin/busybox", BUSYBOX.read_bytes(), mode=0o755),
        *(member(f"bin/{name}", kind=tarfile.SYMTYPE, link="busybox") for name in applets if name != "busybox"),
        directory("etc"),
        member("etc/passwd", PASSWD.encode()),
        member("etc/group", GROUP.encode()),
        directory("home"),
        directory("tmp", 0o1777),
    )


def joined(*archives: bytes) -> bytes:
    """One tar of the members of several; those of later ones count."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as target:
        for archive in archives:
            with tarfile.open(fileobj=io.BytesIO(archive)) as source:
                for info in source:
                    target.addfile(info, source.extractfile(info) if info.isreg() else None)
    return out.getvalue()
