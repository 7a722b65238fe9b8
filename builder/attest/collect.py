"""An image's tree → its inventory: one walk, each file that a package manager keeps read by its reader.

The tree is hostile: no link is followed, only regular files are opened, each is read up to a limit, and nothing of it
runs. What cannot be read is told in the inventory, not passed over.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from msgspec import Struct
from msgspec.structs import replace

from builder.attest import apk, dpkg, npm, python, rpmdb
from builder.attest.inventory import Gathering, Inventory, Package, System
from builder.attest.rpmheader import read_header
from builder.attest.text import clean, lines_of
from builder.digest import Digest
from builder.errors import BadInputError
from builder.image.descriptor import Layer
from builder.linux.paths import open_in_root
from builder.sandbox.launcher import Launcher
from builder.snapshots.active import Snapshots
from builder.snapshots.tree import ensure

_MEGABYTE = 1 << 20
_NOT_FILES = ("dev", "proc", "sys")
_STATUS_D = "var/lib/dpkg/status.d"
# The names of files that some kind below may match: most files of an image have others.
_CANDIDATE = re.compile(
    r"os-release|status|copyright|installed|rpmdb\.sqlite|Packages(?:\.db)?|METADATA|PKG-INFO|.+\.egg-info"
    r"|package\.json|package-lock\.json",
    re.DOTALL,
)
_OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
_RELEASE_LINE = re.compile(r"(ID|VERSION_ID|PRETTY_NAME)=(['\"]?)(.*)\2\s*")

# Reads a file that is open, which lies at a path of this machine and at `place` of the image.
Read = Callable[[IO[bytes], str, str, Gathering], None]


class _Kind(Struct, frozen=True):
    """Files at paths that `pattern` matches wholly are read by `read`, when they are not larger than `limit` bytes."""

    pattern: re.Pattern[str]
    read: Read
    limit: int


def inventory_of(launcher: Launcher, root: Path, layers: tuple[Layer, ...]) -> Inventory:
    """The inventory of the image these layers of the store at `root` make. Raises BadInputError."""
    ensure(launcher, root, layers)
    return launcher.call(_collected, None, root, tuple(layer.diff_id for layer in layers)).result()


def _collected(root: Path, stack: tuple[Digest, ...]) -> Inventory:
    """In the launcher's child."""
    snapshots = Snapshots(root)
    with snapshots.readable(stack) as tree:
        found = collected(tree)
    layers = _layers({package.place for package in found.packages}, snapshots, stack)
    packages = (replace(package, layer=layers.get(package.place, "")) for package in found.packages)
    return replace(found, packages=tuple(packages))


def _layers(places: set[str], snapshots: Snapshots, stack: tuple[Digest, ...]) -> dict[str, str]:
    """The topmost layer that has each of `places`: that whose file is seen."""
    found: dict[str, str] = {}
    parts = [(layer, part) for layer in dict.fromkeys(reversed(stack)) for part in snapshots.parts(layer)]
    for layer, part in parts:
        root = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            here = [place for place in places - found.keys() if _has(root, place)]
        finally:
            os.close(root)
        found.update((place, str(layer)) for place in here)
    return found


def _has(root: int, place: str) -> bool:
    try:
        os.close(open_in_root(root, place, os.O_PATH | os.O_NOFOLLOW))
    except OSError:
        return False
    return True


def collected(tree: str) -> Inventory:
    """The inventory of a tree. Raises BadInputError for one that tells of too much."""
    gathering = Gathering()
    copyrights: dict[str, str] = {}
    for path, place in _files(tree, gathering):
        package = _COPYRIGHT.fullmatch(place)
        if package is not None:
            copyrights[package[1]] = path
            continue
        kind = next((kind for kind in _KINDS if kind.pattern.fullmatch(place)), None)
        if kind is not None:
            _read(kind, path, place, gathering)
    found = gathering.inventory()
    with_licenses = tuple(_licensed(package, copyrights) for package in found.packages)
    return replace(found, packages=with_licenses)


def _files(tree: str, gathering: Gathering) -> Iterator[tuple[str, str]]:
    """Regular files that may be meant, by their path here and there; in order, so that all is alike each time."""
    todo = [("", tree)]
    while todo:
        place, path = todo.pop()
        try:
            with os.scandir(path) as items:
                entries = sorted(items, key=lambda item: item.name)
        except OSError as error:
            gathering.skipped(clean(place), f"it cannot be listed: {error.strerror}")
            continue
        for item in entries:
            inner = f"{place}/{item.name}" if place else item.name
            if item.is_dir(follow_symlinks=False):
                if inner not in _NOT_FILES:
                    todo.append((inner, item.path))
            elif _is_candidate(place, item.name) and item.is_file(follow_symlinks=False):
                yield item.path, inner


def _is_candidate(place: str, name: str) -> bool:
    return _CANDIDATE.fullmatch(name) is not None or place == _STATUS_D


def _read(kind: _Kind, path: str, place: str, gathering: Gathering) -> None:
    shown = clean(place)
    try:
        with _opened(path) as file:
            if os.fstat(file.fileno()).st_size > kind.limit:
                gathering.skipped(shown, f"it is larger than {kind.limit // _MEGABYTE} MB, and not read")
            else:
                kind.read(file, path, shown, gathering)
    except BadInputError as error:
        if not gathering.full:
            gathering.skipped(shown, error.message)
            return
        raise
    except OSError as error:
        gathering.skipped(shown, f"it cannot be read: {error.strerror}")


def _opened(path: str) -> IO[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BadInputError("it is no file")
    return os.fdopen(fd, "rb")


# --- what is read, and how -------------------------------------------------------------------------

_COPYRIGHT = re.compile(r"usr/share/doc/([^/]+)/copyright")
_LARGEST_COPYRIGHT = 4 * _MEGABYTE


def _licensed(package: Package, copyrights: dict[str, str]) -> Package:
    """A package of Debian with the licenses that lie beside it."""
    path = copyrights.get(package.name) if package.kind == "deb" else None
    if path is None:
        return package
    try:
        with _opened(path) as file:
            if os.fstat(file.fileno()).st_size > _LARGEST_COPYRIGHT:
                return package
            return replace(package, licenses=dpkg.licenses(lines_of(file)))
    except (OSError, BadInputError):
        return package  # a license nobody states


def _system(file: IO[bytes], path: str, place: str, gathering: Gathering) -> None:
    # os-release(5): the one in etc/ comes before the other. Links, which it mostly is, are not seen here.
    if gathering.system != System() and place != _OS_RELEASE[0]:
        return
    said: dict[str, str] = {}
    for line in lines_of(file):
        match = _RELEASE_LINE.fullmatch(clean(line))
        if match is not None:
            said[match[1]] = re.sub(r"\\(.)", r"\1", match[3])
    gathering.system = System(said.get("ID", "").lower(), said.get("VERSION_ID", ""), said.get("PRETTY_NAME", ""))


def _status(file: IO[bytes], path: str, place: str, gathering: Gathering) -> None:
    dpkg.read_status(lines_of(file), place, gathering)


def _installed(file: IO[bytes], path: str, place: str, gathering: Gathering) -> None:
    apk.read_installed(lines_of(file), place, gathering)


def _metadata(file: IO[bytes], path: str, place: str, gathering: Gathering) -> None:
    python.read_metadata(lines_of(file), place, gathering)


def _package(file: IO[bytes], path: str, place: str, gathering: Gathering) -> None:
    npm.read_package(file.read(), place, gathering)


def _lock(file: IO[bytes], path: str, place: str, gathering: Gathering) -> None:
    npm.read_lock(file.read(), place, gathering)


def _rpm_sqlite(file: IO[bytes], path: str, place: str, gathering: Gathering) -> None:
    waiting = f"{path}-wal"
    if os.path.lexists(waiting) and os.lstat(waiting).st_size:
        gathering.skipped(place, "changes that are in rpmdb.sqlite-wal are not read")
    _headers(rpmdb.sqlite_headers(path), file, place, gathering)


def _rpm_ndb(file: IO[bytes], path: str, place: str, gathering: Gathering) -> None:
    _headers(rpmdb.ndb_headers(file), file, place, gathering)


def _rpm_bdb(file: IO[bytes], path: str, place: str, gathering: Gathering) -> None:
    _headers(rpmdb.bdb_headers(file), file, place, gathering)


def _headers(headers: Iterator[bytes], file: IO[bytes], place: str, gathering: Gathering) -> None:
    for blob in rpmdb.bounded(headers, os.fstat(file.fileno()).st_size):
        read_header(blob, place, gathering)


_RPM = r"(?:var/lib/rpm|usr/lib/sysimage/rpm|usr/share/rpm)"


def _kind(pattern: str, read: Read, megabytes: int) -> _Kind:
    return _Kind(re.compile(pattern, re.DOTALL), read, megabytes * _MEGABYTE)


_KINDS = (
    _kind("|".join(map(re.escape, _OS_RELEASE)), _system, 1),
    _kind(r"var/lib/dpkg/status", _status, 512),
    # beside each there is a list of the package's files with their digests
    _kind(r"var/lib/dpkg/status\.d/(?:(?!\.md5sums$)[^/])+", _status, 16),
    _kind(r"(?:usr/)?lib/apk/db/installed", _installed, 512),
    _kind(rf"{_RPM}/rpmdb\.sqlite", _rpm_sqlite, 1024),
    _kind(rf"{_RPM}/Packages\.db", _rpm_ndb, 1024),
    _kind(rf"{_RPM}/Packages", _rpm_bdb, 1024),
    _kind(r"(?:.*/)?[^/]+\.dist-info/METADATA", _metadata, 16),
    _kind(r"(?:.*/)?[^/]+\.egg-info(?:/PKG-INFO)?", _metadata, 16),
    _kind(r"(?:.*/)?node_modules/(?:@[^/]+/)?[^/@.][^/]*/package\.json", _package, 16),
    _kind(r"(?:.*/)?package-lock\.json", _lock, 32),
)
