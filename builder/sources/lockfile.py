"""`Buildfile.lock` as text: what names of images, URLs and git references stood for when they were locked.

    version = 1
    platforms = ["linux/amd64"]

    [image."debian:12"]
    digest = "sha256:…"              of the index, where the name is one
    date = 2026-11-26T01:30:00Z

    [image."debian:12".platforms]
    "linux/amd64" = "sha256:…"       the manifest of each platform that was asked for

    [url."https://example.org/tool.tar.gz"]
    digest = "sha256:…"
    date = 2026-11-26T01:30:00Z

    [git."https://example.org/tool.git#main"]
    commit = "…"
    ref = "refs/heads/main"
    date = 2026-11-26T01:30:00Z

TOML, sorted by kind and name, so that two people's changes meet only where they change the same. Nothing in here
touches the disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

from builder.digest import Digest
from builder.errors import BuildfileError, PybuildError, Where
from builder.graph.remote import is_commit, redacted
from builder.graph.vertex import GitTree
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.readied import readied
from builder.store.memo import Memo

VERSION = 1
LARGEST = 8 << 20
IMAGE, URL, GIT = KINDS = ("image", "url", "git")
_HEAD = """\
# What the names in the Buildfile stood for when it was locked. Builds keep to it.
# Written by `pybuild lock`; `pybuild lock --update` moves it on.
"""
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class ImagePin(Struct, frozen=True):
    """What an image's name means: `digest` is the index's, or the manifest's where there is none.

    `platforms` has the manifests that the index chooses. `local`: no registry had it, only the store it was locked in.
    """

    digest: Digest
    date: str
    platforms: Mapping[str, Digest] = {}
    local: bool = False

    def of(self, platform: str) -> Digest:
        """What to ask for to have the image for `platform`: its manifest, or what leads to it."""
        return self.platforms.get(platform, self.digest)


class UrlPin(Struct, frozen=True):
    """The digest of what a URL gives."""

    digest: Digest
    date: str


class GitPin(Struct, frozen=True):
    """The commit of a git reference, and the full name of the ref that gave it."""

    commit: str
    ref: str
    date: str


Pin = ImagePin | UrlPin | GitPin
# Kind and name of a pin.
Key = tuple[str, str]


class Lock(Struct, frozen=True):
    """All pins by name: images as Docker shows them, with tag; URLs and git references without credentials.

    `platforms` are those it was made for.
    """

    images: Mapping[str, ImagePin] = {}
    urls: Mapping[str, UrlPin] = {}
    gits: Mapping[str, GitPin] = {}
    platforms: tuple[str, ...] = ()

    @classmethod
    def of(cls, pins: Mapping[Key, Pin], platforms: tuple[str, ...]) -> Lock:
        """The lock with these pins."""
        by_kind = {kind: {name: pin for (k, name), pin in sorted(pins.items()) if k == kind} for kind in KINDS}
        return cls(
            cast("dict[str, ImagePin]", by_kind[IMAGE]),
            cast("dict[str, UrlPin]", by_kind[URL]),
            cast("dict[str, GitPin]", by_kind[GIT]),
            platforms,
        )

    def pins(self) -> dict[Key, Pin]:
        """Every pin, in the order of the file."""
        parts: tuple[tuple[str, Mapping[str, Pin]], ...] = ((IMAGE, self.images), (URL, self.urls), (GIT, self.gits))
        return {(kind, name): pin for kind, part in parts for name, pin in sorted(part.items())}


def url_key(url: str) -> Key:
    """What the pin of a URL is called: credentials in it are never written."""
    return URL, redacted(url)


def git_key(tree: GitTree) -> Key:
    """What the pin of a git reference is called."""
    return GIT, redacted(f"{tree.remote}#{tree.ref}" if tree.ref else tree.remote)


# --- writing ---------------------------------------------------------------------------------------


def text_of(lock: Lock) -> str:
    """The text of a lock; equal locks have equal texts."""
    parts = [f"{_HEAD}version = {VERSION}\n"]
    if lock.platforms:
        parts[0] += f"platforms = [{', '.join(map(_quoted, lock.platforms))}]\n"
    parts += [f"{header(key)}\n{_body(key, pin)}" for key, pin in lock.pins().items()]
    return "\n".join(parts)


def header(key: Key) -> str:
    """The line a pin begins with."""
    return f"[{key[0]}.{_quoted(key[1])}]"


def _body(key: Key, pin: Pin) -> str:
    match pin:
        case ImagePin():
            local = "local = true\n" if pin.local else ""
            head = f"digest = {_quoted(str(pin.digest))}\ndate = {pin.date}\n{local}"
            rows = "".join(f"{_quoted(p)} = {_quoted(str(d))}\n" for p, d in sorted(pin.platforms.items()))
            return f"{head}\n[{key[0]}.{_quoted(key[1])}.platforms]\n{rows}" if rows else head
        case UrlPin():
            return f"digest = {_quoted(str(pin.digest))}\ndate = {pin.date}\n"
        case GitPin():
            ref = f"ref = {_quoted(pin.ref)}\n" if pin.ref else ""
            return f"commit = {_quoted(pin.commit)}\n{ref}date = {pin.date}\n"


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'


# --- reading ---------------------------------------------------------------------------------------


def parse(data: bytes, path: str, memo: Memo | None = None) -> Lock:
    """Read a lock called `path`; from `memo` when it was read before. Raises BuildfileError with the place."""
    key = f"{VERSION}-{Digest.of(data).hex}"
    known = None if memo is None else memo.get("lock", key)
    if known is not None:
        try:
            return msgspec.msgpack.decode(known, type=readied(Lock))
        except msgspec.DecodeError:
            pass  # of another version, or damaged: as good as none
    # lazy: 4 ms that a build need not spend twice on the same text
    import tomllib

    if len(data) > LARGEST:
        raise BuildfileError(f"{path} is larger than {LARGEST >> 20} MiB: that is no lock", where=Where(path, 1))
    try:
        text = data.decode()
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BuildfileError("the lock is not UTF-8", where=Where(path, line), hint=_MEND) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # lazy: as above
        from builder.lang.toml import wrong

        said, where = wrong(path, data.decode(), error)
        raise BuildfileError(f"the lock is not TOML: {said}", where=where, hint=_MEND) from error
    lock = _Reading(path, text).lock(document)
    if memo is not None:
        memo.put("lock", key, msgspec.msgpack.encode(lock))
    return lock


def place(text: str, path: str, key: Key, name: str | None = None) -> Where:
    """Where the pin `key` stands in `text`, or the value called `name` in it."""
    lines = text.splitlines()
    wanted = f"[{key[0]}.{_quoted(key[1])}"
    at = next((n for n, line in enumerate(lines) if line.strip() in (f"{wanted}]", f"{wanted}.platforms]")), None)
    if at is None:
        return Where(path, 1)
    if name is not None:
        keys = (f"{name} ", f"{name}=", f"{_quoted(name)} ", f"{_quoted(name)}=")
        for number in range(at + 1, len(lines)):
            line = lines[number].strip()
            if line.startswith("[") and line != f"{wanted}.platforms]":
                break
            if line.startswith(keys):
                at = number
                break
    return Where(path, at + 1, 1, lines[at], len(lines[at]))


_MEND = "restore it, or remove it and run: pybuild lock"


class _Wrong(Exception):
    """What is wrong with a value, and which of the pin's it is."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class _Reading:
    """From TOML's values to ours: each is checked, and what is wrong has a place."""

    def __init__(self, path: str, text: str) -> None:
        self._path, self._text = path, text

    def lock(self, document: dict[str, Any]) -> Lock:
        version = document.pop("version", None)
        if version != VERSION or isinstance(version, bool):
            newer = isinstance(version, int) and version > VERSION
            hint = "it was written by a newer pybuild" if newer else _MEND
            raise self._error(f"the lock's version is {version!r}, not {VERSION}", "version", hint)
        platforms = document.pop("platforms", [])
        if not isinstance(platforms, list) or not all(_is_platform(p) for p in platforms):
            raise self._error("the lock's platforms are no list of platforms", "platforms", _MEND)
        pins = dict(self._pins(document))
        return Lock.of(pins, tuple(platforms))

    def _pins(self, document: dict[str, Any]) -> Iterator[tuple[Key, Pin]]:
        for kind, table in document.items():
            if kind not in KINDS or not isinstance(table, dict):
                raise self._error(f"a lock has no {kind!r}", kind, f"there are {', '.join(KINDS)}")
            for name, values in table.items():
                key = (kind, name)
                try:
                    yield key, _pin(key, values)
                except _Wrong as wrong:
                    where = place(self._text, self._path, key, wrong.name)
                    raise BuildfileError(f"{kind} {name}: {wrong}", where=where, hint=_MEND) from wrong

    def _error(self, message: str, name: str, hint: str) -> BuildfileError:
        lines = self._text.splitlines() or [""]
        at = next((n for n, line in enumerate(lines) if line.lstrip("[").startswith(name)), 0)
        return BuildfileError(message, where=Where(self._path, at + 1, 1, lines[at]), hint=hint)


_FIELDS = {
    IMAGE: ("digest", "date", "platforms", "local"),
    URL: ("digest", "date"),
    GIT: ("commit", "ref", "date"),
}


def _pin(key: Key, values: Any) -> Pin:
    """The pin of a table. Raises _Wrong."""
    if not isinstance(values, dict):
        raise _Wrong("is no table")
    kind, name = key
    _check_name(kind, name)
    unknown = next((field for field in values if field not in _FIELDS[kind]), None)
    if unknown is not None:
        raise _Wrong(f"it has no {unknown!r}", unknown)

    def take(field: str, read: Callable[[Any], Any], default: Any = None) -> Any:
        if field not in values and default is not None:
            return default
        try:
            return read(values.get(field))
        except (ValueError, PybuildError) as error:
            said = "is missing" if field not in values else f"cannot be {str(values[field])[:100]!r}"
            raise _Wrong(f"its {field} {said}", field) from error

    date = take("date", _date)
    pin: Pin
    if kind == GIT:
        pin = GitPin(take("commit", _commit), take("ref", _text, ""), date)
    elif kind == URL:
        pin = UrlPin(take("digest", _digest), date)
    else:
        manifests = take("platforms", _manifests, {})
        pin = ImagePin(take("digest", _digest), date, manifests, take("local", _switch, False))
    return pin


def _check_name(kind: str, name: str) -> None:
    if kind != IMAGE:
        return
    try:
        reference = Reference.parse(name)
    except PybuildError as error:
        raise _Wrong("is no name of an image") from error
    if reference.digest is not None or reference.tag is None or reference.familiar() != name:
        raise _Wrong(f"is not written as a lock writes it: {reference.tagged().familiar()}")


def _is_platform(value: object) -> bool:
    try:
        return isinstance(value, str) and str(Platform.parse(value)) == value
    except PybuildError:
        return False


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _digest(value: object) -> Digest:
    return Digest.parse(_text(value))


def _commit(value: object) -> str:
    commit = _text(value)
    if not is_commit(commit):
        raise ValueError
    return commit


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _manifests(value: object) -> dict[str, Digest]:
    if not isinstance(value, dict) or not all(_is_platform(name) for name in value):
        raise ValueError
    return {name: _digest(digest) for name, digest in value.items()}


def _date(value: object) -> str:
    # tomllib gives a datetime, whose isoformat says +00:00 for Z
    isoformat = getattr(value, "isoformat", str)
    text = str(isoformat()).replace("+00:00", "Z")
    if not _DATE.fullmatch(text):
        raise ValueError
    return text
