"""A case: a Buildfile, the context it is built in, and the image it must make.

cases/<name>/Buildfile
cases/<name>/case.toml       what is shown, the context's files, what a peer makes otherwise and why
cases/<name>/expected.json   the facts of the image (tests/support/facts.py)
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import tomllib
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import msgspec
import zstandard
from msgspec import Struct

from tests.support.facts import Facts

CASES = Path(__file__).parent / "cases"

_MTIME = 1_000_000_000
_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gz": partial(gzip.compress, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """A path of a context; one that ends in `/` is a directory. A bare string is a file's content."""

    content: str = ""
    mode: int | None = None
    owner: tuple[int, int] = (0, 0)
    link: str | None = None
    hard: str | None = None
    xattrs: dict[str, str] = {}
    mtime: int = _MTIME
    fifo: bool = False
    # an archive of these files, and how it is packed
    tar: dict[str, str | File] | None = None
    pack: str = ""


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """`options` are given to every builder. `differs`: by peer, patterns of the facts that are others there, and why.
    `without`: by peer that is not asked, why not.
    """

    about: str
    context: dict[str, str | File] = {}
    options: list[str] = []
    differs: dict[str, dict[str, str]] = {}
    without: dict[str, str] = {}
    name: str = ""

    @property
    def expected(self) -> Facts:
        facts: Facts = json.loads(self.golden.read_text())
        return facts

    @property
    def golden(self) -> Path:
        return CASES / self.name / "expected.json"

    def accept(self, facts: Facts) -> None:
        self.golden.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")

    def lay(self, directory: Path) -> Path:
        """Make the context with the Buildfile in it in the new `directory`."""
        umask = os.umask(0o022)
        try:
            directory.mkdir()
            (directory / "Buildfile").write_bytes((CASES / self.name / "Buildfile").read_bytes())
            _lay(self.context, directory)
        finally:
            os.umask(umask)
        return directory


def cases(peer: str = "") -> list[Case]:
    """All cases; of a peer, those it can build."""
    found = [_read(path.parent) for path in sorted(CASES.glob("*/Buildfile"))]
    assert found
    return [case for case in found if peer not in case.without]


def same(expected: Facts, got: Facts, allowed: dict[str, str]) -> None:
    """Assert that the facts are the same but for those that a pattern of `allowed` names, each of which must differ."""
    different = {name for name in expected.keys() | got.keys() if expected.get(name) != got.get(name)}
    unused = [pattern for pattern in allowed if not any(fnmatchcase(name, pattern) for name in different)]
    wrong = [name for name in sorted(different) if not is_allowed(name, allowed)]
    assert not wrong, "".join(
        f"\n{name}\n  expected {expected.get(name)}\n  got      {got.get(name)}" for name in wrong
    )
    assert not unused, f"these need no allowance any more: {unused}"


def is_allowed(name: str, allowed: dict[str, str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in allowed)


def _read(directory: Path) -> Case:
    found = tomllib.loads((directory / "case.toml").read_text())
    return msgspec.convert({**found, "name": directory.name}, Case)


def _lay(files: dict[str, str | File], directory: Path) -> None:
    specs = {name: File(content=spec) if isinstance(spec, str) else spec for name, spec in files.items()}
    for name, spec in specs.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path, name.endswith("/"), spec, directory)
    # directories last and from below: what is made in one changes its time
    for path in sorted(directory.rglob("*"), reverse=True):
        name = str(path.relative_to(directory))
        spec = specs.get(name) or specs.get(f"{name}/") or File()
        os.chown(path, *spec.owner, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(_mode(spec, path.is_dir()))
        for attribute, value in spec.xattrs.items():
            os.setxattr(path, attribute, bytes.fromhex(value), follow_symlinks=False)
        os.utime(path, (spec.mtime, spec.mtime), follow_symlinks=False)


def _mode(spec: File, directory: bool) -> int:
    return spec.mode if spec.mode is not None else 0o755 if directory else 0o644


def _make(path: Path, is_directory: bool, spec: File, top: Path) -> None:
    if is_directory:
        path.mkdir(exist_ok=True)
    elif spec.link is not None:
        path.symlink_to(spec.link)
    elif spec.hard is not None:
        path.hardlink_to(top / spec.hard)
    elif spec.fifo:
        os.mkfifo(path)
    elif spec.tar is not None:
        path.write_bytes(_packed(spec.tar, spec.pack))
    else:
        path.write_text(spec.content)


def _packed(files: dict[str, str | File], pack: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, given in files.items():
            spec = File(content=given) if isinstance(given, str) else given
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mode, info.mtime = _mode(spec, name.endswith("/")), spec.mtime
            info.uid, info.gid = spec.owner
            info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in spec.xattrs.items()}
            data = spec.content.encode()
            if name.endswith("/"):
                info.type, data = tarfile.DIRTYPE, b""
            elif spec.link is not None:
                info.type, info.linkname = tarfile.SYMTYPE, spec.link
            elif spec.hard is not None:
                info.type, info.linkname = tarfile.LNKTYPE, spec.hard
            elif spec.fifo:
                info.type = tarfile.FIFOTYPE
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return _PACKERS[pack](out.getvalue())
