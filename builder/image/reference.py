"""Image references: `[domain/]path[:tag][@digest]`, read and written as Docker does (distribution/reference)."""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import PybuildError, UsageError

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
# Of a path, without the registry (distribution/reference, RepositoryNameTotalLengthMax).
_LONGEST = 255


class Reference(Struct, frozen=True, order=True):
    """A normalised name. `tag` and `digest` are None when the text had none."""

    domain: str
    path: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference. Raises UsageError for what Docker would not take either."""
        if _IDENTIFIER.fullmatch(text):
            raise UsageError(f"{text!r} is not an image reference: 64 hexadecimal digits can only be an image ID")
        rest, _, digest = text.partition("@")
        try:
            parsed = Digest.parse(digest) if "@" in text else None
        except PybuildError as error:
            raise UsageError(f"{text!r} is not an image reference: {error.message}") from error
        name, colon, tag = rest.rpartition(":")
        if not colon or "/" in tag:
            name, tag = rest, ""
        elif not _TAG.fullmatch(tag):
            raise UsageError(f"{text!r} is not an image reference: {tag!r} cannot be a tag")
        domain, path = _split(name)
        _check(text, domain, path)
        return cls(domain, path, tag or None, parsed)

    def tagged(self) -> Reference:
        """The same with the default tag when it has neither tag nor digest."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def familiar(self) -> str:
        """The short form Docker shows: no default domain, no `library/`."""
        return shortened(str(self))

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return f"{self.domain}/{self.path}{self._suffix()}"


def shortened(text: str) -> str:
    """The short form of what `str` of a reference gives, without reading it: a store may have thousands."""
    domain, _, rest = text.partition("/")
    if domain != DEFAULT_DOMAIN:
        return text
    return rest.removeprefix("library/") if rest.count("/") == 1 else rest


def _split(name: str) -> tuple[str, str]:
    head, slash, rest = name.partition("/")
    if not slash or not ("." in head or ":" in head or head == "localhost" or head.lower() != head):
        domain, path = DEFAULT_DOMAIN, name
    else:
        domain, path = head, rest
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    return domain, path


def _check(text: str, domain: str, path: str) -> None:
    if not _PATH.fullmatch(path):
        hint = f"names are lower case: {text.lower()}" if path.lower() != path else None
        raise UsageError(f"{text!r} is not an image reference", hint=hint)
    if not _DOMAIN.fullmatch(domain):
        raise UsageError(f"{text!r} is not an image reference: {domain!r} cannot be a registry")
    if len(path) > _LONGEST:
        raise UsageError(f"image name is longer than {_LONGEST} characters: {text[:60]}…")
