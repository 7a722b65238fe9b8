"""Images that travel: 150 MB of this machine's own programs in four layers, and 20,000 small files in one."""

from __future__ import annotations

import io
import os
import random
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.base import run

# Bytes of each layer: a base and what is put on it, as images usually are.
_LAYERS = (75_000_000, 35_000_000, 25_000_000, 15_000_000)
_PLACES = ("/usr/bin", "/usr/lib", "/usr/share", "/usr/sbin")
_LARGEST = 20_000_000
_FILES, _DIRECTORIES = 20_000, 200


@dataclass(frozen=True)
class Archives:
    """An image as an OCI archive with gzip layers, and as a docker archive with plain ones."""

    oci: Path
    docker: Path


def write(directory: Path, pybuild: Path) -> dict[str, Archives]:
    """Make the images below `directory` with the program `pybuild`; their archives by name."""
    archives = {}
    for name, tars in (("programs", programs(directory)), ("small", _small(directory))):
        store, made = directory / "store", Archives(directory / f"{name}.oci.tar", directory / f"{name}.docker.tar")
        lines = ["FROM scratch", *(f"ADD {path.name} /" for path in tars), 'CMD ["true"]']
        (directory / "Dockerfile").write_text("\n".join(lines) + "\n")
        run([pybuild, "--root", store, "build", "-q", "-t", name, directory], directory)
        save = [pybuild, "--root", store, "save", name]
        run([*save, "--format", "oci", "--compression", "gzip", "-o", made.oci], directory)
        run([*save, "--format", "docker", "-o", made.docker], directory)
        archives[name] = made
    return archives


def programs(directory: Path, layers: Sequence[int] = _LAYERS) -> list[Path]:
    """Tars of files of this machine, of so many bytes each, in `directory`."""
    found, tars = files(), []
    for number, size in enumerate(layers):
        path = directory / f"programs-{number}.tar"
        with tarfile.open(path, "w") as archive:
            while size > 0 and (file := next(found, None)) is not None:
                archive.add(file, file.lstrip("/"), recursive=False)
                size -= os.path.getsize(file)
        tars.append(path)
    return tars


def files() -> Iterator[str]:
    """Files of this machine, in an order that stays."""
    for place in _PLACES:
        for base, directories, names in os.walk(place):
            directories.sort()
            for name in sorted(names):
                path = os.path.join(base, name)
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST:
                    yield path


def _small(directory: Path) -> list[Path]:
    path = directory / "small.tar"
    chance = random.Random(1)
    with tarfile.open(path, "w") as archive:
        for number in range(_FILES):
            info = tarfile.TarInfo(f"d{number % _DIRECTORIES}/f{number}")
            data = chance.randbytes(chance.randint(50, 2_000)).hex().encode()
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return [path]
