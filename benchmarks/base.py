"""The base image of all measures: busybox and the directories that every builder mounts something on."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from benchmarks.limits import BUSYBOX

# there already, so that no builder has to make them and leave them in a layer
_DIRECTORIES = ("bin", "dev", "etc", "proc", "run", "sys", "tmp")
_EMPTY_FILES = ("etc/hostname", "etc/hosts", "etc/resolv.conf")


def write_base(path: Path) -> None:
    """Write the root file system tar."""
    with tarfile.open(path, "w") as archive:
        for name in _DIRECTORIES:
            archive.addfile(_member(name, tarfile.DIRTYPE, mode=0o755))
        _add_file(archive, "bin/busybox", BUSYBOX.read_bytes(), 0o755)
        archive.addfile(_member("bin/sh", tarfile.SYMTYPE, link="busybox", mode=0o777))
        _add_file(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
        for name in _EMPTY_FILES:
            _add_file(archive, name, b"", 0o644)


def _add_file(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    info = _member(name, tarfile.REGTYPE, mode=mode)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _member(name: str, kind: bytes, *, mode: int, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, mode, link
    return info
