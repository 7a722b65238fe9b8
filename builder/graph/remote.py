"""URLs and git references as sources: what BuildKit takes for one (its dfgitutil), and the vertex for it."""

from __future__ import annotations

import posixpath
import re

from msgspec import Struct

from builder.digest import Digest
from builder.errors import BadInputError, UsageError
from builder.graph.vertex import GitTree, Origin, UrlFile
from builder.lang.gobool import parse_bool

UNNAMED = "__unnamed__"
_SCHEME = re.compile(r"([A-Za-z0-9]+)://")
_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*@[A-Za-z0-9][A-Za-z0-9.-]*:")
# All of it for HTTP, where a user name may be a token; a password only where the user is `git` and the like.
_CREDENTIALS = re.compile(r"(?:(?<=http://)|(?<=https://))[^/@?#\s]*@")
_PASSWORD = re.compile(r"(?<=://)([^/@:?#\s]*):[^/@?#\s]*@")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_HEX = re.compile(r"[0-9a-fA-F]+\Z")


class GitReference(Struct, frozen=True):
    """A git reference, read. `ref` is a branch, tag or commit, empty for the repository's default branch.

    `keep_git_dir` is None where the reference says nothing about it.
    """

    remote: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool = True


def is_url(text: str) -> bool:
    """Whether `text` is a URL that can be fetched (a git reference may be one too: ask `git_reference` first)."""
    return text.startswith(("http://", "https://"))


def is_commit(ref: str) -> bool:
    """Whether `ref` is a whole commit hash."""
    return _COMMIT.match(ref) is not None


def git_reference(text: str) -> GitReference | None:
    """`text` as a git reference; None when it is none. Raises UsageError for one that contradicts itself.

    That is any URL of git:// or ssh://, one of http(s):// whose path ends with .git, and user@host:path; `#ref:subdir`
    or a query says what of it.
    """
    scheme = _SCHEME.match(text)
    if scheme is None and not _SCP.match(text):
        return None
    # lazy: only a build with remote sources
    from urllib.parse import unquote

    place, _, fragment = text.partition("#")
    remote, _, query = place.partition("?")
    if scheme is not None:
        protocol = scheme[1].lower()
        if protocol not in ("http", "https", "git", "ssh"):
            return None
        if protocol in ("http", "https") and not unquote(remote).endswith(".git"):
            return None
        remote = protocol + remote[len(protocol) :]
        fragment = unquote(fragment)
    ref, _, subdir = fragment.partition(":")
    found = _queried(GitReference(remote, ref, subdir), query, text)
    host = remote.partition("://")[2].partition("/")[0].rpartition("@")[2]
    if not text.isprintable() or host.startswith("-") or found.ref.startswith("-"):
        raise UsageError(f"{redacted(text)!r} is not a git reference that could be meant well")
    return found


def _queried(reference: GitReference, query: str, text: str) -> GitReference:
    """`reference` with what the query of `text` says. Raises UsageError."""
    if not query:
        return reference
    # lazy: as above
    from urllib.parse import parse_qsl

    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    known = {"ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules"}
    flags = {"keep-git-dir", "submodules"}
    shown = redacted(text)
    for name, value in pairs:
        if name not in known:
            raise UsageError(f"{shown}: {name!r} is not known here", hint=f"use {', '.join(sorted(known))}")
        if sum(other == name for other, _ in pairs) > 1:
            raise UsageError(f"{shown}: {name} is given twice")
        if name in flags and _flag(value) is None:
            raise UsageError(f"{shown}: {name} is true or false, not {value!r}")
        if name not in flags and not value:
            raise UsageError(f"{shown}: {name} has no value")
    if "tag" in given and "branch" in given:
        raise UsageError(f"{shown}: it is either a tag or a branch")
    named = [reference.ref, given.get("ref", "")]
    for kind, prefix in (("tag", "refs/tags/"), ("branch", "refs/heads/")):
        if kind in given:
            named.append(prefix + given[kind].removeprefix(prefix))
    refs = {ref for ref in named if ref}
    if len(refs) > 1:
        raise UsageError(f"{shown}: it names several refs: {', '.join(sorted(refs))}")
    if reference.subdir and given.get("subdir", reference.subdir) != reference.subdir:
        raise UsageError(f"{shown}: it names two directories: {reference.subdir} and {given['subdir']}")
    checksum = given.get("checksum", given.get("commit", ""))
    return GitReference(
        reference.remote,
        refs.pop() if refs else checksum,
        given.get("subdir", reference.subdir),
        checksum,
        _flag(given["keep-git-dir"]) if "keep-git-dir" in given else None,
        _flag(given.get("submodules", "")) is not False,
    )


def _flag(value: str) -> bool | None:
    """Whether a parameter says yes; alone it does. None when it says neither."""
    return parse_bool(value) if value else True


def redacted(text: str) -> str:
    """A text with URLs as it may be shown and kept: without the credentials in them."""
    return _PASSWORD.sub(r"\1:xxxxx@", _CREDENTIALS.sub("xxxxx@", text))


def file_name(url: str) -> str:
    """What a file fetched from `url` is called: the last element of its path."""
    # lazy: only a build with remote sources
    from urllib.parse import unquote, urlsplit

    try:
        path = unquote(urlsplit(url).path, errors="surrogateescape")
    except ValueError:
        return UNNAMED
    name = posixpath.basename(path.rstrip("/"))
    return UNNAMED if name in ("", ".", "..") or "\0" in name else name


def url_file(url: str, name: str, origin: Origin, checksum: str = "") -> UrlFile:
    """The vertex of a file fetched from `url`. Raises UsageError."""
    if not url.isprintable() or " " in url:
        raise UsageError(f"{redacted(url)!r} is not a URL")
    try:
        digest = Digest.parse(checksum) if checksum else None
    except BadInputError as error:
        raise UsageError(f"--checksum={checksum} is no digest", hint=error.hint) from error
    return UrlFile(url, name, digest, origin)


def git_tree(reference: GitReference, origin: Origin, checksum: str = "", *, keep_git_dir: bool = False) -> GitTree:
    """The vertex of a git reference, with what flags say of it. Raises UsageError where they contradict it."""
    if keep_git_dir and reference.keep_git_dir is False:
        raise UsageError("--keep-git-dir contradicts the query of the git reference")
    if checksum and reference.checksum and checksum != reference.checksum:
        raise UsageError(f"--checksum={checksum} contradicts the query of the git reference: {reference.checksum}")
    commit = checksum or reference.checksum
    if commit and not _HEX.match(commit):
        raise UsageError(f"the checksum of a git reference is a commit hash, not {commit!r}")
    return GitTree(
        remote=reference.remote,
        ref=reference.ref,
        subdir=reference.subdir,
        keep_git_dir=keep_git_dir or bool(reference.keep_git_dir),
        submodules=reference.submodules,
        checksum=commit.lower(),
        origin=origin,
    )


def remote_source(
    text: str, origin: Origin, checksum: str = "", *, keep_git_dir: bool = False
) -> UrlFile | GitTree | None:
    """The vertex for a source of an ADD; None when it is a path. Raises UsageError."""
    reference = git_reference(text)
    if reference is not None:
        return git_tree(reference, origin, checksum, keep_git_dir=keep_git_dir)
    return url_file(text, file_name(text), origin, checksum) if is_url(text) else None
