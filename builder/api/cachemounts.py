"""Cache mounts: listed, looked into, removed, carried from store to store."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from msgspec.structs import replace

from builder.api.archives import opened
from builder.api.durations import seconds
from builder.api.session import Session
from builder.digest import VerifyingReader
from builder.errors import NotFoundError, UsageError
from builder.export import cachemounts as exporting
from builder.export.cachemounts import Exported
from builder.image.cachemount import About
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor, Layer
from builder.request import CacheShellRequest
from builder.runtime.attach import attached, signals
from builder.sandbox.spec import Network, StepSpec
from builder.snapshots import cachearchive, cachestock
from builder.snapshots.cachearchive import Given, Taken
from builder.snapshots.cachestock import CacheMount as CacheMount
from builder.snapshots.cachestock import Removed, find, named
from builder.snapshots.tree import ensure
from builder.sources import cachearchive as archives
from builder.sources import hostbase, layout
from builder.views.filters import MOUNTS, boolean, parsed
from builder.workers.cacheshell import enter

# Programs of this machine for a shell in a cache mount, those of them that are there.
_PROGRAMS = (
    "sh", "bash", "ls", "cat", "cp", "mv", "rm", "mkdir", "rmdir", "ln", "touch", "chmod", "chown", "stat", "du", "df",
    "find", "grep", "sed", "head", "tail", "wc", "sort", "xargs", "tar", "less", "sha256sum", "diff", "id", "env",
)  # fmt: skip
_TARGET = "/cache"


def cache_mounts(session: Session, filters: Sequence[str] = ()) -> list[CacheMount]:
    """The cache mounts there are, the one used last first; those that `filters`, KEY=VALUE each, let through.

    Keys are id (a part of it), target and sharing of a use, in-use (true or false); of several with one key any will
    do. Raises UsageError.
    """
    wanted = parsed(filters, MOUNTS)
    rows = session.launcher().call(cachestock.stock, None, session.store.root).result()
    return [row for row in rows if all(any(_passes(row, key, v) for v in values) for key, values in wanted.items())]


def cache_mount(session: Session, text: str) -> CacheMount:
    """One cache mount, by its id or the beginning of its name. Raises NotFoundError, UsageError."""
    root, launcher = session.store.root, session.launcher()
    rows = launcher.call(cachestock.stock, None, root, (find(root, text),)).result()
    if not rows:
        raise NotFoundError(f"cache mount {text} has just been removed")
    return rows[0]


def remove(session: Session, text: str, *, force: bool = False) -> Removed:
    """Remove a cache mount; with `force` also one that a step uses. Raises NotFoundError, UsageError, StoreError."""
    root, launcher = session.store.root, session.launcher()
    return launcher.call(cachestock.remove, None, root, find(root, text), force=force).result()


def export(session: Session, text: str, destination: str, seconds: float) -> Exported:
    """Write a cache mount to a file, `-`, or a directory, of whose blobs those are kept that do for it.

    Waits at most `seconds` for a step that has it alone. Raises NotFoundError, UsageError, StoreError.
    """
    root, launcher = session.store.root, session.launcher()
    name = find(root, text)
    about = named(root)[name]

    def pack(known: Mapping[str, Descriptor], put: exporting.Put) -> Given:
        return cachearchive.give(launcher, root, name, about, known, seconds, put)

    return exporting.export(about, pack, destination)


def import_(session: Session, source: str, text: str, seconds: float, *, merge: bool = False) -> tuple[About, Taken]:
    """Make a cache mount what an archive holds (a file, `-`, or a directory), with `merge` over what is in it.

    `text` is an id the archive has, or what its only cache mount is to be here: one there is, or a new id. Gives what
    the cache mount is. Raises NotFoundError, UsageError, StoreError, BadInputError.
    """
    root, launcher = session.store.root, session.launcher()
    with opened(session, source) as files:
        found = archives.one(files, text)
        about = _meant(root, text, found.archive.contents.about)

        def fetch(blob: Descriptor) -> VerifyingReader:
            return layout.open_blob(files, blob)

        return about, cachearchive.take(launcher, root, about, found.archive, fetch, seconds, merge=merge)


def shell(session: Session, request: CacheShellRequest) -> int:
    """Open a shell, or run a command, in a cache mount with this process's input and output; gives its exit status.

    It shares the cache mount as steps do, as far as that is known. Raises NotFoundError, UsageError, StoreError.
    """
    root, launcher = session.store.root, session.launcher()
    mount = cache_mount(session, request.cache)
    target = request.target or next((use.target for use in mount.uses), _TARGET)
    if not target.startswith("/"):
        raise UsageError(f"--target {target} is not an absolute path")
    own_terminal = os.isatty(0) and sys.stdout.isatty()
    with ExitStack() as held:
        with session.store.leases.working():
            layers, config = _root(session, request.image)
            stack = tuple(layer.diff_id for layer in layers)
            held.enter_context(session.store.leases.layers(stack))
        ensure(launcher, root, layers)
        spec = StepSpec(
            request.command,
            tuple({**dict(config.env), **dict(request.env)}.items()),
            target,
            network=Network.NONE,
            terminal=own_terminal,
        )
        alone = any(use.sharing != "shared" for use in mount.uses)
        arguments = (root, mount.name, spec, stack, request.script, request.seconds)
        pass_on = held.enter_context(signals())
        return attached(
            lambda stdio: launcher.call(enter, stdio, *arguments, alone=alone),
            pass_on,
            interactive=True,
            own_terminal=own_terminal,
        ).status


def patience(text: str) -> float:
    """What --wait says, in seconds. Raises UsageError."""
    return seconds(text, f"--wait {text}")


def _meant(root: Path, text: str, own: About) -> About:
    """Which cache mount here is made of one that was `own`."""
    if not text or text == own.id:
        return own
    try:
        return named(root)[find(root, text)]
    except NotFoundError:
        return replace(own, id=text)


def _root(session: Session, image: str) -> tuple[tuple[Layer, ...], ImageConfig]:
    """The layers a shell stands on, and what an image says of its environment."""
    images = session.store.images
    if image:
        found = images.find(image)
        return tuple(images.layers(found.manifest.digest)), images.config(found)
    with tempfile.TemporaryFile(dir=session.store.root / "tmp") as tar:
        hostbase.write_rootfs([program for program in _PROGRAMS if shutil.which(program)], tar)
        tar.seek(0)
        return (session.ingest.layer(tar, None, "the root made of this machine's programs"),), hostbase.config()


def _passes(row: CacheMount, key: str, value: str) -> bool:
    match key:
        case "id":
            return value in row.about.id
        case "target":
            return any(value == use.target for use in row.uses)
        case "sharing":
            return any(value == use.sharing for use in row.uses)
        case _:
            return boolean(key, value) == row.in_use
