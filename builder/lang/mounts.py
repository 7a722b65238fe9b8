"""The text of one `--mount=…` as a value: keys, aliases, defaults, and what each type takes.

Rules: Dockerfile reference, "RUN --mount". What the words mean in a stage (paths under WORKDIR, stages by name)
is graph/mounts.py's.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from builder.errors import PybuildError, suggestion
from builder.lang.gobool import parse_bool
from builder.lang.sizes import parse_size

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARING = ("shared", "private", "locked")
_KEYS = {
    "type": "type",
    "from": "from",
    "source": "source", "src": "source",
    "target": "target", "dst": "target", "destination": "target",
    "readonly": "readonly", "ro": "readonly",
    "readwrite": "readwrite", "rw": "readwrite",
    "id": "id",
    "sharing": "sharing",
    "required": "required",
    "size": "size",
    "mode": "mode",
    "uid": "uid",
    "gid": "gid",
    "env": "env",
}  # fmt: skip
# The last number stands for "leave it as it is" (chown(2)).
_LARGEST = (1 << 32) - 2


class MountError(PybuildError):
    """A mount that cannot be meant; `near` is the part of its text that is wrong. The caller adds the place."""

    exit_code = 3

    def __init__(self, message: str, near: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.near = near


class MountText(Struct, frozen=True):
    """One --mount, its variables filled in. None is what was not written and depends on more than the type."""

    type: str = "bind"
    origin: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = True
    id: str = ""
    sharing: str = ""
    required: bool = False
    size: int = 0
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def fields(text: str) -> list[str]:
    """The fields of one CSV record, as Go's encoding/csv reads it. Raises MountError for misplaced quotes."""
    found, at = [], 0
    while True:
        if text[at : at + 1] == '"':
            field, at = _quoted(text, at)
        else:
            end = text.find(",", at)
            field = text[at:] if end < 0 else text[at:end]
            if '"' in field:
                raise MountError(f"a quote stands inside the field {field}", field, 'quote the whole field: "key=a,b"')
            at += len(field)
        found.append(field)
        if at >= len(text):
            return found
        at += 1  # the comma


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The quoted field that begins at `start`, and where it ends. A doubled quote stands for one."""
    out, at = [], start + 1
    while True:
        end = text.find('"', at)
        if end < 0:
            raise MountError("a quote is not closed", text[start:])
        out.append(text[at:end])
        at = end + 1
        if text[at : at + 1] == '"':
            out.append('"')
            at += 1
        elif at < len(text) and text[at] != ",":
            raise MountError("something follows a quoted field", text[start:])
        else:
            return "".join(out), at


def origin_of(text: str) -> str:
    """What `from=` of a mount names, as written; empty when it has none. Raises MountError for a variable in it."""
    found = ""
    for field in fields(text):
        key, equals, value = field.partition("=")
        if key.lower() == "from" and equals:
            if "$" in value[:-1]:
                raise MountError(
                    "from= does not expand variables",
                    field,
                    "name a stage after the image: FROM $IMAGE AS files, then from=files",
                )
            found = value
    return found


def parse(text: str, expand: Callable[[str], str]) -> MountText:
    """Read a mount, its values passed through `expand`. Raises MountError, and what `expand` raises.

    Keys are read in order, and some are allowed only after the type they belong to (as in BuildKit).
    """
    origin_of(text)
    reading = _Reading(expand)
    for field in fields(text):
        reading.take(field)
    return reading.done()


class _Reading:
    def __init__(self, expand: Callable[[str], str]) -> None:
        self.expand = expand
        self.mount = MountText()
        self.read_only: bool | None = None

    def take(self, field: str) -> None:
        written, equals, value = field.partition("=")
        name = written.lower()
        key = _KEYS.get(name)
        if not equals:
            if key not in ("readonly", "readwrite", "required"):
                raise MountError(
                    f"{field!r} in a mount must be key=value", field, None if key else suggestion(name, _KEYS)
                )
            value = "true"
        elif key is None:
            raise MountError(f"a mount has no key {written!r}", field, suggestion(name, _KEYS))
        else:
            value = self.expand(value)
        self._set(key or "", name, value, field)

    def _set(self, key: str, name: str, value: str, field: str) -> None:
        match key:
            case "type":
                self._change(type=_choice(value, TYPES, "mount type", field))
            case "from":
                self._change(origin=value)
            case "source" | "target" | "id":
                self._change(**{key: value})
            case "readonly":
                self.read_only = _bool(name, value, field)
            case "readwrite":
                self.read_only = not _bool(name, value, field)
            case "required":
                self._only_for(("secret", "ssh"), name, field)
                self._change(required=_bool(name, value, field))
            case "size":
                self._only_for(("tmpfs",), name, field)
                self._change(size=_size(value, field))
            case "sharing":
                self._change(sharing=_choice(value, SHARING, "sharing", field))
            case "mode":
                self._change(mode=_number(name, value, 8, field))
            case "uid" | "gid":
                self._change(**{key: _number(name, value, 10, field)})
            case _:
                if not value:
                    raise MountError("env= needs the name of a variable", field)
                self._change(env=value)

    def _change(self, **changes: object) -> None:
        self.mount = replace(self.mount, **changes)

    def _only_for(self, types: tuple[str, ...], name: str, field: str) -> None:
        if self.mount.type not in types:
            raise MountError(
                f"{name} is not for mounts of type {self.mount.type}",
                field,
                f"put type={' or type='.join(types)} before it",
            )

    def done(self) -> MountText:
        mount = self.mount
        if mount.type not in ("secret", "ssh", "cache"):
            for name in ("mode", "uid", "gid"):
                if getattr(mount, name) is not None:
                    raise MountError(f"{name} is not for mounts of type {mount.type}", f"{name}=")
        if mount.sharing and mount.type != "cache":
            raise MountError(f"sharing is not for mounts of type {mount.type}", "sharing=")
        if mount.type == "secret":
            _check_secret(mount)
        if mount.type == "ssh" and mount.source:
            raise MountError("an ssh mount has no source", mount.source, "id= names the agent")
        read_only = mount.type not in ("cache", "tmpfs") if self.read_only is None else self.read_only
        return replace(mount, read_only=read_only)


def _check_secret(mount: MountText) -> None:
    if mount.origin:
        raise MountError("a secret mount has no from", "from=", "secrets are given by --secret on the command line")
    if not (mount.source or mount.target or mount.id):
        raise MountError("a secret mount needs an id or a target", "type=secret", "for example type=secret,id=token")
    if mount.source and mount.id:
        raise MountError("a secret mount takes id or source, not both", mount.source)


def _choice(value: str, known: tuple[str, ...], what: str, field: str) -> str:
    found = value.lower()
    if found not in known:
        raise MountError(f"there is no {what} {value!r}", field, suggestion(found, known))
    return found


def _bool(name: str, value: str, field: str) -> bool:
    found = parse_bool(value)
    if found is None:
        raise MountError(f"{name} is true or false, not {value!r}", field)
    return found


def _number(name: str, value: str, base: int, field: str) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    # No number that fits is longer, and int() refuses very long ones in its own way.
    number = int(value, base) if 0 < len(value) < 20 and not value.strip(digits) else -1
    if not 0 <= number <= _LARGEST:
        form = "an octal number such as 0755" if base == 8 else "a number"
        raise MountError(f"{name} is {form}, not {value!r}", field)
    return number


def _size(value: str, field: str) -> int:
    size = parse_size(value)
    if size is None:
        raise MountError(f"{value!r} is no size", field, "a number with k, m, g, t or p: size=64m")
    return size
