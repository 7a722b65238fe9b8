"""`--cache-from` and `--cache-to`: what is said there, as values. Named as in buildx where that has it."""

from __future__ import annotations

from msgspec import Struct

from builder.errors import UsageError
from builder.image.reference import Reference
from builder.lang.gobool import parse_bool
from builder.lang.mounts import MountError, fields
from builder.layers.compress import Form

MIN, MAX = "min", "max"
_SERVICES = {"gha": "GitHub", "s3": "S3", "azblob": "Azure"}
_FROM = {
    "registry": ("ref", "mounts", "verify-key"),
    "local": ("src", "tag", "mounts", "verify-key"),
}
_SHAPE = ("mode", "compression", "compression-level", "force-compression", "image-manifest", "oci-mediatypes")
_TO = {
    "registry": ("ref", "mounts", "sign-key", "keep-days", "ignore-error", *_SHAPE),
    "local": ("dest", "tag", "mounts", "sign-key", "keep-days", "ignore-error", *_SHAPE),
    "inline": ("mode", "ignore-error"),
}


class Source(Struct, frozen=True):
    """A cache to read: a `reference` in a registry, or else the layout `directory` and the `tag` in it.

    `mounts` are ids of cache mounts to take; `key` is the file of the public key that it must be signed by.
    """

    text: str
    reference: Reference | None = None
    directory: str = ""
    tag: str = "latest"
    mounts: tuple[str, ...] = ()
    key: str = ""


class Target(Struct, frozen=True):
    """A cache to write: as Source, or `inline`: in the image.

    `mode` max: the layers of all steps; min: of those of the image alone. `form` is how they are compressed, None: as
    in the store. `key` is the file of the private key to sign with. `keep` is for how many days an entry stays that no
    build uses. `strict`: trouble with it fails the build (ignore-error=false).
    """

    text: str
    reference: Reference | None = None
    directory: str = ""
    tag: str = "latest"
    inline: bool = False
    mode: str = MIN
    mounts: tuple[str, ...] = ()
    form: Form | None = None
    key: str = ""
    keep: int = 14
    strict: bool = False


def parse_from(text: str) -> Source:
    """Read a value of --cache-from: `type=registry,ref=REF`, `type=local,src=DIR`, or REF. Raises UsageError."""
    option = "--cache-from"
    kind, words = _words(option, text)
    if kind == "inline":
        raise UsageError(f"{option} {text}: an inline cache lies in its image", hint="use type=registry,ref=IMAGE")
    _check_known(option, text, kind, words, _FROM)
    reference, directory = _place(option, text, kind, words, "src")
    return Source(
        text,
        reference,
        directory,
        words.get("tag", "latest"),
        _mounts(option, text, words),
        words.get("verify-key", ""),
    )


def parse_to(text: str) -> Target:
    """Read a value of --cache-to: `type=registry,ref=REF`, `type=local,dest=DIR`, `type=inline`, or REF.

    Raises UsageError.
    """
    option = "--cache-to"
    kind, words = _words(option, text)
    _check_known(option, text, kind, words, _TO)
    mode = words.get("mode", MIN)
    if mode not in (MIN, MAX):
        raise UsageError(f"{option} {text}: mode={mode} is not known", hint=f"use {MIN} or {MAX}")
    strict = not _yes(option, text, words, "ignore-error", default=True)
    if kind == "inline":
        if mode == MAX:
            raise UsageError(f"{option} {text}: an image has its own layers only", hint="use mode=min, or a registry")
        return Target(text, inline=True, strict=strict)
    if not _yes(option, text, words, "oci-mediatypes", default=True):
        raise UsageError(f"{option} {text}: a cache is always of OCI's media types")
    _yes(option, text, words, "image-manifest", default=True)  # its shards are image manifests, whatever is asked
    reference, directory = _place(option, text, kind, words, "dest")
    if reference is not None and reference.digest is not None:
        raise UsageError(f"{option} {text}: what has a digest cannot be written", hint="name a tag")
    _yes(option, text, words, "force-compression", default=True)  # a layer is of the compression that is asked for
    keep = _number(option, text, words, "keep-days", 0, 36500)
    return Target(
        text,
        reference,
        directory,
        words.get("tag", "latest"),
        mode=mode,
        mounts=_mounts(option, text, words),
        form=_form(option, text, words),
        key=words.get("sign-key", ""),
        keep=14 if keep is None else keep,
        strict=strict,
    )


def _words(option: str, text: str) -> tuple[str, dict[str, str]]:
    """The type and the attributes; ids that follow `mounts=` belong to it."""
    if "=" not in text:
        return "registry", {"ref": text}
    try:
        parts = fields(text)
    except MountError as error:
        raise UsageError(f"{option} {text}: {error.message}", hint=error.hint) from error
    words: dict[str, str] = {}
    last = ""
    for field in parts:
        name, equals, value = field.partition("=")
        if not equals and last == "mounts":
            words["mounts"] += f",{field}"
            continue
        last = name.strip().lower()
        if not equals or not last:
            raise UsageError(f"{option} {text}: {field!r} is not NAME=VALUE")
        words[last] = value
    kind = words.pop("type", "registry" if "ref" in words else "")
    if kind in _SERVICES:
        raise UsageError(
            f"{option} {text}: caches of {_SERVICES[kind]} are not supported",
            hint="use type=registry, or type=local with a directory that the service keeps",
        )
    return kind, words


def _check_known(option: str, text: str, kind: str, words: dict[str, str], table: dict[str, tuple[str, ...]]) -> None:
    if kind not in table:
        what = f"type={kind} is not known" if kind else "it has no type"
        raise UsageError(f"{option} {text}: {what}", hint=f"use type={'|'.join(table)}")
    for name in words:
        if name not in table[kind]:
            known = ", ".join(table[kind])
            raise UsageError(f"{option} {text}: type={kind} has no attribute {name!r}", hint=f"it has {known}")


def _place(option: str, text: str, kind: str, words: dict[str, str], path: str) -> tuple[Reference | None, str]:
    needed = "ref" if kind == "registry" else path
    value = words.get(needed, "")
    if not value:
        raise UsageError(f"{option} {text}: {needed}= is missing")
    return (Reference.parse(value).tagged(), "") if kind == "registry" else (None, value)


def _mounts(option: str, text: str, words: dict[str, str]) -> tuple[str, ...]:
    found = tuple(words["mounts"].split(",")) if "mounts" in words else ()
    if not all(found):
        raise UsageError(f"{option} {text}: mounts= needs ids of cache mounts")
    return found


def _yes(option: str, text: str, words: dict[str, str], name: str, *, default: bool) -> bool:
    found = parse_bool(words[name]) if name in words else default
    if found is None:
        raise UsageError(f"{option} {text}: {name}={words[name]} is neither true nor false")
    return found


def _number(option: str, text: str, words: dict[str, str], name: str, least: int, most: int) -> int | None:
    value = words.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 9 and least <= int(value) <= most):
        raise UsageError(f"{option} {text}: {name}={value} is no number from {least} to {most}")
    return int(value)


def _form(option: str, text: str, words: dict[str, str]) -> Form | None:
    if "compression" not in words:
        if "compression-level" in words:
            raise UsageError(f"{option} {text}: compression-level= needs compression=")
        return None
    try:
        return Form.parse(words["compression"], words.get("compression-level"))
    except UsageError as error:
        raise UsageError(f"{option} {text}: {error.message}", hint=error.hint) from error
