"""A base image of this machine's own programs, with the shared libraries and loaders they need.

Nothing is run to find them: ELF headers are read (PT_INTERP, DT_NEEDED, DT_RPATH, DT_RUNPATH) and libraries
looked up as ld.so(8) does. Files keep their paths, symlinks on the way included.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import IO

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment
from msgspec import Struct, field

from builder.errors import NotFoundError, UsageError
from builder.image.config import ImageConfig
from builder.image.platform import host
from builder.layers.entry import Entry, Kind
from builder.layers.tarwrite import write_layer
from builder.linux.ids import find_program

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DIRECTORIES = ("etc", "root", "tmp", "usr", "var")
_TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
# Symlinks into /usr on today's systems: programs are called by these paths too.
_MERGED = ("/bin", "/sbin", "/lib", "/lib64")
_MOST_LINKS = 40
_LONGEST_SHEBANG = 256


def config() -> ImageConfig:
    """The config of a host base."""
    return ImageConfig(platform=host(), env=(("PATH", _PATH),), cmd=("sh",))


def write_rootfs(programs: Sequence[str], tar: IO[bytes]) -> None:
    """Write a root file system with `programs` (names along PATH, or paths) to `tar`.

    Raises NotFoundError for one that is not there or needs what is not, UsageError for one that may not be read.
    """
    found = _Gathering()
    if not programs:
        raise UsageError("no program is named", hint="for example: pybuild import --from-host sh,cat NAME")
    for directory in _MERGED:
        found.follow(directory)
    for program in programs:
        found.program(program)
    with tempfile.TemporaryDirectory() as directory:
        entries = found.entries(Path(directory))
        write_layer(((e, p) for e, p in entries), tar, "uncompressed")


class _Needs(Struct, frozen=True):
    """What an ELF file asks for: its loader, and libraries with the directories it names for the search.

    `rpath` counts for what its libraries need too, `runpath` does not and replaces it (ld.so(8)).
    """

    loader: str | None = None
    libraries: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    machine: str = ""


class _Gathering(Struct):
    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    _common: list[str] = field(default_factory=list)

    def program(self, name: str) -> None:
        """A program and all it needs."""
        path = name if "/" in name else find_program(name)
        if path is None or not os.path.isfile(path):
            raise NotFoundError(
                f"no program {name} on this machine", hint="name what is along PATH here, or a path to it"
            )
        self.file(os.path.join(os.getcwd(), path))

    def file(self, path: str, rpath: tuple[str, ...] = ()) -> None:
        """A file with the symlinks that lead to it, and what it needs; `rpath` is that of those who need it."""
        real = self.follow(path)
        if real in self.files.values() or real.lstrip("/") in self.files:
            return
        self.files[real.lstrip("/")] = real
        interpreters = _shebang(real)
        if interpreters:
            for interpreter in interpreters:
                self.program(interpreter)
            return
        needs = _needs(real)
        if needs is None:
            return
        if needs.loader is not None:
            self.file(needs.loader)
        rpath = (*needs.rpath, *rpath)
        for library in needs.libraries:
            self.file(self._library(library, needs.runpath or rpath, needs.machine, real), rpath)

    def follow(self, path: str) -> str:
        """The real path; every symlink on the way is noted."""
        todo, done, links = [p for p in path.split("/") if p and p != "."], "", 0
        while todo:
            part = todo.pop(0)
            if part == "..":
                done = os.path.dirname(done)
                continue
            current = f"{done}/{part}"
            if not os.path.islink(current):
                done = current
                continue
            links += 1
            if links > _MOST_LINKS:
                raise NotFoundError(f"{path}: too many symbolic links")
            target = os.readlink(current)
            self.links[current.lstrip("/")] = target
            if target.startswith("/"):
                done = ""
            todo = [p for p in target.split("/") if p and p != "."] + todo
        return done

    def _library(self, name: str, own: tuple[str, ...], machine: str, user: str) -> str:
        if "/" in name:
            return name
        for directory in (*own, *self._directories()):
            path = os.path.join(directory, name)
            other = _needs(path) if os.path.isfile(path) else None
            # ld.so passes over libraries of another architecture (i386 ones on amd64, say)
            if other is not None and other.machine == machine:
                return path
        raise NotFoundError(f"{user} needs the library {name}, which is not on this machine")

    def _directories(self) -> list[str]:
        if not self._common:
            self._common = [*_configured("/etc/ld.so.conf"), "/lib", "/usr/lib", "/lib64", "/usr/lib64"]
        return self._common

    def entries(self, texts: Path) -> list[tuple[Entry, str]]:
        """Everything as entries with the path each is read from, parents first."""
        found: dict[str, tuple[Entry, str]] = {}
        for name in (*self.files, *self.links, *_TEXTS):
            for parent in map(str, Path(name).parents):
                if parent != "." and parent not in self.links:
                    found[parent] = (Entry(parent, Kind.DIRECTORY, 0o755), "")
        for name in _DIRECTORIES:
            found[name] = (Entry(name, Kind.DIRECTORY, 0o1777 if name == "tmp" else 0o755), "")
        for name, target in self.links.items():
            found[name] = (Entry(name, Kind.SYMLINK, 0o777, link=target), "")
        for name, path in self.files.items():
            status = os.stat(path)
            mode, mtime = stat.S_IMODE(status.st_mode) & ~0o6000, int(status.st_mtime)
            found[name] = (Entry(name, Kind.FILE, mode, size=status.st_size, mtime=mtime), path)
        for name, text in _TEXTS.items():
            path = str(texts / name.replace("/", "-"))
            Path(path).write_text(text)
            found[name] = (Entry(name, Kind.FILE, 0o644, size=len(text)), path)
        return [found[name] for name in sorted(found)]


def _opened(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except PermissionError:
        raise UsageError(f"{path} may not be read by you", hint="leave it away, or run as root") from None


def _shebang(path: str) -> list[str]:
    """What a script names as its interpreter; for `env NAME`, the program it would look up too."""
    with _opened(path) as file:
        line = file.read(_LONGEST_SHEBANG).split(b"\n")[0]
    if not line.startswith(b"#!"):
        return []
    words = os.fsdecode(line[2:]).split()
    if words and os.path.basename(words[0]) == "env":
        return [words[0], *[w for w in words[1:] if not w.startswith("-") and "=" not in w][:1]]
    return words[:1]


def _needs(path: str) -> _Needs | None:
    """What an ELF file asks for; None when it is none. Only segments are looked at, as the loader does."""
    with _opened(path) as file:
        try:
            elf = ELFFile(file)
            segments = list(elf.iter_segments())
            loader = next((s.get_interp_name() for s in segments if isinstance(s, InterpSegment)), None)
            tags = [tag for s in segments if isinstance(s, DynamicSegment) for tag in s.iter_tags()]
        except ELFError:
            return None
        # pyelftools gives a tag's string an attribute named like the tag
        strings = [(str(t.entry.d_tag), str(getattr(t, str(t.entry.d_tag)[3:].lower(), ""))) for t in tags]
        libraries = tuple(text for name, text in strings if name == "DT_NEEDED")
        rpath, runpath = (_search_path(path, strings, name) for name in ("DT_RPATH", "DT_RUNPATH"))
        return _Needs(loader, libraries, () if runpath else rpath, runpath, f"{elf.header.e_machine}-{elf.elfclass}")


def _search_path(path: str, strings: list[tuple[str, str]], name: str) -> tuple[str, ...]:
    origin = os.path.dirname(path)
    found = (d for tag, text in strings if tag == name for d in text.split(":") if d)
    return tuple(d.replace("$ORIGIN", origin).replace("${ORIGIN}", origin) for d in found)


def _configured(path: str, depth: int = 0) -> list[str]:
    """Directories an ld.so.conf names, its includes followed."""
    try:
        lines = Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []
    found: list[str] = []
    for line in (raw.split("#")[0].strip() for raw in lines):
        if line.startswith("include ") and depth < 8:
            pattern = os.path.join(os.path.dirname(path), line.removeprefix("include ").strip())
            found += [d for name in sorted(glob(pattern)) for d in _configured(name, depth + 1)]
        elif line:
            found.append(line)
    return found
