"""Snapshots on disk, and writable tops on stacks of them.

    <root>/snapshots/<diff ID hex>/   one unpacked layer, deletions in overlayfs's form; never changed; or what differs
                                      in it from the whole snapshot of another layer, which an attribute names
    <root>/tmp/active-<random>/       a writable top:  upper/ the changes
                                                       work/  overlayfs's own
                                                       root/  where the stack is mounted (in one process's namespace)
    <root>/tmp/active-<random>.lock   held by the process that uses it; unlocked = left behind by a crash

A snapshot appears by rename of an upper dir or of an unpacked layer: whole or not at all.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from builder import spans
from builder.digest import Digest
from builder.layers.whiteout import form_of
from builder.linux import syscalls
from builder.linux.files import remove_tree
from builder.linux.locks import abandoned, create_locked, locked
from builder.points import point
from builder.snapshots import assembler, choice
from builder.snapshots.overlaymount import OverlayMount
from builder.store.leases import Leases

_NAME = re.compile(r"[0-9a-f]{64}\Z")
# Directories for a writable top that were made ahead, and what removes them.
_ready: list[tuple[str, ExitStack]] = []
# Which snapshot another one lies on. Not `trusted`: who runs outside the user namespace of the files reads it, too.
_BELOW = "user.pybuild.top.below"


class Snapshots:
    """The snapshots of the store at `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, diff_id: Digest) -> str:
        """Where the snapshot of a layer is, or would be."""
        return f"{self._root}/snapshots/{diff_id.hex}"

    def all(self) -> list[Digest]:
        """The layers that are unpacked."""
        return [Digest(name) for name in os.listdir(f"{self._root}/snapshots") if _NAME.match(name)]

    def lowers(self, stack: Sequence[Digest]) -> tuple[str, ...]:
        """The snapshots of `stack` (bottom first) as overlayfs wants them: topmost first, none twice.

        A layer that comes again higher up hides its lower self entirely, and the kernel refuses it twice (ELOOP).
        """
        return tuple(dict.fromkeys(path for diff_id in reversed(stack) for path in self.parts(diff_id)))

    def parts(self, diff_id: Digest) -> tuple[str, ...]:
        """The directories that are the snapshot of a layer, topmost first; whether they are there is not asked."""
        below = tree_below(self.path(diff_id))
        return (self.path(diff_id),) if below is None else (self.path(diff_id), self.path(below))

    def has(self, diff_id: Digest) -> bool:
        """Whether a layer is unpacked."""
        return all(os.path.isdir(part) for part in self.parts(diff_id))

    def trees_below(self, layers: Iterable[Digest]) -> set[Digest]:
        """The layers whose snapshots those of `layers` lie on."""
        return {below for layer in layers if (below := tree_below(self.path(layer))) is not None}

    def commit(self, directory: str, diff_id: Digest, below: Digest | None = None) -> None:
        """Make `directory` the snapshot of `diff_id`; nothing changes when there is one already.

        With `below` it is only what differs from the whole snapshot of that layer, which the caller holds a lease of.
        """
        point("snapshot:commit")
        lay_on(directory, below)
        Leases(self._root).use([diff_id])
        try:
            # An empty one in its place would be replaced, under the feet of who has it mounted.
            syscalls.rename_new(directory, self.path(diff_id))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if not self.has(diff_id):
                self._replace(directory, diff_id)
        point("snapshot:renamed")

    def _replace(self, directory: str, diff_id: Digest) -> None:
        """Put `directory` in the place of a snapshot that lies on one that is gone, unless somebody else did."""
        with self.scratch() as doomed, locked(self._root / "locks" / "settled"):
            if not self.has(diff_id):
                syscalls.exchange(directory, self.path(diff_id))
                point("snapshot:exchanged")
                os.rename(directory, f"{doomed}/rest")

    @contextmanager
    def tree(self, diff_id: Digest) -> Iterator[str]:
        """The whole tree of a layer that is unpacked, for this process only; gives its path."""
        if len(self.parts(diff_id)) == 1:
            yield self.path(diff_id)
            return
        with self.readable([diff_id]) as path:
            yield path

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """A new directory in tmp/, locked while in use, removed at the end with all that is still in it."""
        path = f"{self._root}/tmp/active-{os.urandom(8).hex()}"
        lock = -1
        try:  # being canceled can come between any two instructions
            lock = create_locked(Path(f"{path}.lock"))
            os.mkdir(path, 0o700)
            point("scratch:made")
            yield path
        finally:
            point("scratch:removing")
            remove_tree(path)
            with suppress(FileNotFoundError):
                os.unlink(f"{path}.lock")
            if lock >= 0:
                os.close(lock)

    @contextmanager
    def _new_top(self) -> Iterator[str]:
        with self.scratch() as path:
            for name in ("upper", "work", "root"):
                os.mkdir(f"{path}/{name}", 0o755)
            yield path

    def make_ready(self) -> None:
        """In a child of the launcher that waits: make the directories of its next writable top."""
        # lazy: children only
        from builder.sandbox import child

        if not _ready:
            stack = ExitStack()
            _ready.append((stack.enter_context(self._new_top()), stack))
            child.at_end(end_ready)

    def sweep(self) -> None:
        """Remove what crashed processes left in tmp/."""
        for lock in abandoned(self._root / "tmp", "active-*.lock"):
            remove_tree(str(lock).removesuffix(".lock"))
            lock.unlink(missing_ok=True)

    def mount(self, wanted: OverlayMount) -> bool:
        """Mount `wanted` in this process's mount namespace, by the assembler of this store.

        Gives whether its `upper` is of overlayfs's form, as snapshots are. Raises HostError.
        """
        chosen = choice.of(self._root)
        chosen.mount(wanted)
        return chosen.name == assembler.OVERLAY

    @contextmanager
    def writable(self, stack: Sequence[Digest]) -> Iterator[Writable]:
        """A writable top on the snapshots of `stack` (bottom first), mounted for this process only."""
        own_mounts()
        with _ready_scratch() if _ready else self._new_top() as path:
            with spans.span("set-up"):
                top = Writable(path, self.lowers(stack))
                lowers = top.lowers or _empty(path)
                # A step that a power cut ends is run again: nothing in it need wait for the disk.
                top.native = self.mount(OverlayMount(lowers, top.root, top.upper, f"{path}/work", volatile=True))
            try:
                yield top
            finally:
                top.unmount()

    @contextmanager
    def resumed(self, stack: Sequence[Digest], directory: str) -> Iterator[Writable]:
        """The writable top whose `upper` and `work` are kept in `directory`, mounted again as `writable` does."""
        own_mounts()
        with self.scratch() as path:
            top = Writable(path, self.lowers(stack))
            os.mkdir(top.root, 0o755)
            top.native = self.mount(
                OverlayMount(top.lowers or _empty(path), top.root, f"{directory}/upper", f"{directory}/work")
            )
            try:
                yield top
            finally:
                top.unmount()

    @contextmanager
    def readable(self, stack: Sequence[Digest], above: Sequence[str] = ()) -> Iterator[str]:
        """The merged tree of `stack`, read-only, mounted for this process only; gives its path.

        `above` are upper directories that lie on it, topmost first.
        """
        own_mounts()
        with self.scratch() as path:
            os.mkdir(f"{path}/root", 0o755)
            lowers = tuple(above) if any(form_of(upper).copied for upper in above) else (*above, *self.lowers(stack))
            for spare in ("empty", "empty2")[: max(0, 2 - len(lowers))]:
                os.mkdir(f"{path}/{spare}", 0o755)  # overlayfs without an upper wants two lowers
                lowers = (*lowers, f"{path}/{spare}")
            self.mount(OverlayMount(lowers, f"{path}/root"))
            try:
                yield f"{path}/root"
            finally:
                syscalls.umount(f"{path}/root")


def _empty(path: str) -> tuple[str]:
    """A lower directory for a top that has none: overlayfs wants one."""
    lower = f"{path}/empty"
    os.mkdir(lower, 0o755)
    return (lower,)


@contextmanager
def _ready_scratch() -> Iterator[str]:
    path, stack = _ready[-1]
    with stack:
        _ready.pop()
        yield path


def end_ready() -> None:
    """Remove what `make_ready` has made, if nothing came that needed it."""
    while _ready:
        _ready.pop()[1].close()


def lay_on(directory: str, below: Digest | None) -> None:
    """Note that `directory`, which is to be a snapshot, is only what differs from the whole one of layer `below`.

    None: it is whole, whatever a step wrote on it.
    """
    if below is not None:
        os.setxattr(directory, _BELOW, below.hex.encode())
        return
    with suppress(OSError):
        os.removexattr(directory, _BELOW)


def tree_below(directory: str) -> Digest | None:
    """The layer that `lay_on` noted; None for a whole snapshot, and for none."""
    try:
        return Digest(os.getxattr(directory, _BELOW).decode())
    except OSError:
        return None


class Writable:
    """A mounted writable top: `root` the merged tree, `upper` the changes, `lowers` topmost first.

    `native`: `upper` has overlayfs's form and can be a snapshot as it is.
    """

    def __init__(self, path: str, lowers: tuple[str, ...]) -> None:
        self.root, self.upper, self.lowers = f"{path}/root", f"{path}/upper", lowers
        self.native = True
        self._mounted = True

    def unmount(self) -> None:
        """End the mount, so that all that was written is in `upper`; once is enough."""
        if self._mounted:
            self._mounted = False
            # lazy: a cached build mounts nothing
            from builder.sandbox.first import await_ended

            await_ended()
            syscalls.umount(self.root)


def chosen(root: Path) -> assembler.Assembler:
    """How stacks are put together in the store at `root`. Runs in a launcher's child."""
    own_mounts()
    return choice.of(root)


@cache
def own_mounts() -> None:
    """Give this process a mount namespace of its own, from which nothing spreads to others."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError as error:
        # lazy: only where it is refused
        from builder.sandbox.facts import refused

        raise refused("mount namespace", str(error.strerror)) from error
