"""Build contexts from wherever they come: a directory, an archive on standard input or behind a URL, a git reference;
and the values of --build-context.

What is not a directory of this machine is put into one for the time of the build, confined: no name and no link of
an archive or a repository leads out of it. As in BuildKit, ignore files count in directories of this machine only.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from builder.errors import NotFoundError, UsageError
from builder.events import Emit
from builder.events import ignore as unheard
from builder.graph.contexts import RESERVED, Contexts, ImageContext, LocalContext, Named, canonical
from builder.graph.remote import GitReference, git_reference, git_tree, is_url, redacted, url_file
from builder.graph.vertex import GitTree, Origin, UrlFile
from builder.image.reference import Reference
from builder.lang.ignore import Ignore
from builder.lang.source import Source
from builder.sources import buildfile
from builder.sources.context import Context
from builder.sources.fixed import AS_IT_IS, Reading
from builder.sources.remotes import Remotes
from builder.store.stats import StatTable

# What a context that is one file, not an archive, is called in itself.
_SINGLE = "context"
# What a Buildfile is called that stands in the request, or in a bake file.
_INLINE = "<inline>"
_SHORT_GIT = "github.com/"
# A stage of the same Buildfile.
_STAGE = "target:"


class Opened(Struct, frozen=True):
    """The main build context, ready: a directory of this machine, the Buildfile, and the rules of its ignore file.

    `lock` is what lies beside the Buildfile as its lock: its name, and its bytes where it is there.
    """

    root: str
    source: Source
    ignore: Ignore
    lock: tuple[str, bytes | None] | None = None


def open_main(
    context: str,
    file: str | None,
    remotes: Remotes,
    *,
    keep_git_dir: bool = False,
    ignore_file: str | None = None,
    inline: str | None = None,
) -> Opened:
    """The build context `context` with its Buildfile `file` and `ignore_file` (as in BuildRequest), or with the text
    `inline` as the Buildfile.

    Raises NotFoundError, UsageError, BuildfileError, and what fetching raises.
    """
    given = None if inline is None else buildfile.source_of(inline.encode(errors="surrogateescape"), _INLINE)
    if context == "-":
        return _standard_input(file, remotes)
    if not os.path.isdir(context):
        remote = main_source(context, keep_git_dir=keep_git_dir)
        if isinstance(remote, GitTree):
            return _inside(remotes.current(remote).files().root, file, redacted(context), given)
        if remote is not None:
            return _downloaded(remote, file, remotes, given)
        there = "is no directory" if os.path.exists(context) else "does not exist"
        raise NotFoundError(f"the build context {context} {there}")
    path = "-" if given is not None else buildfile.find(context, file)
    rules = buildfile.ignore_rules(context, path) if ignore_file is None else buildfile.rules_in(ignore_file)
    if given is not None:
        return Opened(context, given, rules)
    return Opened(context, buildfile.read(path), rules, _lock(path))


def main_source(context: str, *, keep_git_dir: bool = False) -> UrlFile | GitTree | None:
    """Where the main build context comes from, when it is no directory nor standard input. Raises UsageError."""
    if context == "-" or os.path.isdir(context):
        return None
    origin = Origin(f"fetch {redacted(context)}")
    remote = _main_reference(context)
    if remote is not None:
        return git_tree(remote, origin, keep_git_dir=keep_git_dir)
    return url_file(context, _SINGLE, origin) if is_url(context) else None


def parse_named(values: Mapping[str, str]) -> tuple[Contexts, dict[str, str]]:
    """--build-context: what each name stands for, and the directories of those that are some. Raises UsageError."""
    named: dict[str, Named] = {}
    stages: dict[str, str] = {}
    directories: dict[str, str] = {}
    for given, value in values.items():
        try:
            name = canonical(given)
        except UsageError as error:
            raise UsageError(f"--build-context {given}: {error.message}", hint=error.hint) from error
        if name in RESERVED:
            raise UsageError(f"--build-context {given}: the name has a meaning of its own")
        if value.startswith(_STAGE):
            stages[name] = value.removeprefix(_STAGE)
            continue
        named[name] = _named(name, value)
        if isinstance(named[name], LocalContext):
            directories[name] = value
    return Contexts(named, stages), directories


class ContextSet(Mapping[str, Context]):
    """The main context as "", and the named ones that are directories, each opened when something names it."""

    def __init__(
        self,
        main: Opened,
        directories: Mapping[str, str],
        table: StatTable,
        reading: Reading = AS_IT_IS,
        walked: Iterable[Context] = (),
        emit: Emit = unheard,
    ) -> None:
        """`walked` are contexts whose walks need not be made again, if they are those of the main one."""
        self._directories, self._table, self._reading, self._emit = directories, table, reading, emit
        self._open = {"": Context(main.root, main.ignore, table, reading, emit)}
        for earlier in walked:
            self._open[""].take(earlier)

    def __getitem__(self, name: str) -> Context:
        if name not in self._open:
            directory = self._directories[name]
            ignore = buildfile.ignore_rules(directory, "-")
            self._open[name] = Context(directory, ignore, self._table, self._reading, self._emit)
        return self._open[name]

    def __iter__(self) -> Iterator[str]:
        return iter(["", *self._directories])

    def __len__(self) -> int:
        return 1 + len(self._directories)


# --- named ---------------------------------------------------------------------------------------


def _named(name: str, value: str) -> Named:
    kind, _, rest = value.partition("://")
    origin = Origin(f"[context {name}] fetch {redacted(value)}")
    if kind == "docker-image":
        return ImageContext(rest if rest == "scratch" else str(Reference.parse(rest).tagged()))
    if kind == "oci-layout":
        # absolute: the resolver takes layouts relative to the main context
        return ImageContext(f"{kind}:{os.path.abspath(rest)}")
    if os.path.isdir(value):
        return LocalContext(name)
    remote = git_reference(value)
    if remote is not None:
        return git_tree(remote, origin)
    if is_url(value):
        return url_file(value, _SINGLE, origin)
    there = "is no directory" if os.path.exists(value) else "does not exist"
    raise NotFoundError(
        f"the build context {name}={value} {there}",
        hint="a directory, docker-image://, oci-layout://, target:STAGE, http(s):// or a git reference",
    )


# --- main ----------------------------------------------------------------------------------------


def _main_reference(context: str) -> GitReference | None:
    """`context` as a git reference; here github.com/… is one too, as it is no directory."""
    if not context.startswith(_SHORT_GIT):
        return git_reference(context)
    place, separator, rest = re.match(r"([^?#]*)([?#]?)(.*)", context, re.DOTALL).groups()  # type: ignore[union-attr]
    return git_reference(f"https://{place.removesuffix('.git')}.git{separator}{rest}")


def _standard_input(file: str | None, remotes: Remotes) -> Opened:
    if file == "-":
        raise UsageError("standard input cannot be both the build context and the Buildfile")
    directory = remotes.directory()
    spooled = f"{directory}/input"
    with open(spooled, "xb") as target:
        while data := sys.stdin.buffer.read(1 << 20):
            target.write(data)
    if _unpacked(spooled, f"{directory}/files"):
        os.unlink(spooled)
        return _inside(f"{directory}/files", file, "the archive on standard input")
    if file is not None:
        raise UsageError(
            "standard input is no tar archive, and -f names another Buildfile",
            hint="leave out -f to build the Buildfile on standard input, without a context",
        )
    with open(spooled, "rb") as text:
        source = buildfile.source_of(text.read(buildfile.LARGEST + 1), "<stdin>")
    os.mkdir(f"{directory}/empty")
    return Opened(f"{directory}/empty", source, Ignore())


def _downloaded(source: UrlFile, file: str | None, remotes: Remotes, given: Source | None) -> Opened:
    files, shown = f"{remotes.directory()}/files", redacted(source.url)
    if _unpacked(remotes.download(source.url)[0], files):
        return _inside(files, file, shown, given)
    return _inside(remotes.current(source).files().root, _SINGLE, shown)


def _inside(root: str, file: str | None, what: str, given: Source | None = None) -> Opened:
    """The context in `root` with its Buildfile, or the one that is `given`.

    An absolute `file` is one of this machine, `-` standard input.
    """
    if given is not None:
        return Opened(root, given, Ignore())
    # lazy: openat2 through ctypes, and contexts are mostly directories
    from builder.linux.paths import read_in_root

    if file == "-" or (file is not None and os.path.isabs(file)):
        return Opened(root, buildfile.read(file), Ignore(), _lock(file))
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in (file,) if file is not None else buildfile.NAMES:
            data = read_in_root(fd, name, buildfile.LARGEST + 1)
            if data is not None:
                lock = read_in_root(fd, name + buildfile.LOCK, buildfile.LARGEST + 1)
                return Opened(root, buildfile.source_of(data, name), Ignore(), (name + buildfile.LOCK, lock))
    finally:
        os.close(fd)
    wanted = file or ", ".join(buildfile.NAMES)
    raise NotFoundError(
        f"no Buildfile in {what}", hint=f"it is looked for as {wanted}; -f FILE names another one in it"
    )


def _lock(path: str) -> tuple[str, bytes | None] | None:
    """The lock beside the Buildfile `path` of this machine; None for a Buildfile that is nowhere."""
    return None if path == "-" else (path + buildfile.LOCK, buildfile.lock_text(path + buildfile.LOCK))


def _unpacked(archive: str, directory: str) -> bool:
    """Unpack `archive` into the new `directory`, all of it one's own; False when it is no archive."""
    # lazy: archives are rare as contexts
    from msgspec.structs import replace

    from builder.layers import compress
    from builder.layers.copyop import is_archive
    from builder.layers.entry import Entry, Kind
    from builder.layers.extract import extract_archive

    if not is_archive(archive):
        return False
    uid, gid = os.geteuid(), os.getegid()

    def own(entry: Entry) -> Entry | None:
        # No COPY takes a device out of a context, and only root could make it.
        return None if entry.kind in (Kind.CHAR, Kind.BLOCK) else replace(entry, uid=uid, gid=gid, xattrs=())

    os.mkdir(directory, 0o755)
    with open(archive, "rb") as file:
        extract_archive(compress.plain(file), directory, own)
    return True
