"""The mounts of a RUN made on this machine, as binds for the sandbox. Runs in the launcher's children."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from builder.errors import BadInputError, NotFoundError
from builder.lang.patterns import escaped
from builder.layers.copyjob import Choice, CopyJob
from builder.layers.copyop import copy_into
from builder.layers.entry import Kind
from builder.linux.files import date_tree
from builder.linux.owners import give, seen, set_owner
from builder.linux.paths import open_in_root, resolve_in_root
from builder.sandbox.spec import BindMount, FileMount, Mount, TmpfsMount
from builder.snapshots import cachemounts
from builder.snapshots.active import Snapshots
from builder.solve.worker import AgentSocket, CacheDirectory, ContextMount, StackMount, StepMount


@contextmanager
def shown(root: Path, mounts: Sequence[StepMount], place: str = "") -> Iterator[tuple[Mount, ...]]:
    """What `mounts` are for the sandbox, as long as the context lasts. Waits for cache mounts others have locked.

    `place` is where the step stands, which is kept with its cache mounts.

    Raises NotFoundError for a source that is not there, BadInputError for a context that changes meanwhile.
    """
    with ExitStack() as stack:
        making = _Making(Snapshots(root), stack, _caches(root, mounts, stack, place))
        yield tuple(map(making.mount, mounts))


def _caches(root: Path, mounts: Sequence[StepMount], stack: ExitStack, place: str) -> dict[str, str]:
    """The directories of the cache mounts, by name, each held once however often it is mounted."""
    wanted = [mount for mount in mounts if isinstance(mount, CacheDirectory)]
    found: dict[str, str] = {}
    # All steps take them in one order: two that want the same two would wait for each other otherwise.
    for mount in sorted(wanted, key=lambda m: (m.name, ("locked", "private", "shared").index(m.sharing))):
        if mount.name not in found:
            make = _beginning(Snapshots(root), mount)
            uses = [cachemounts.Use(place, m.target, m.sharing) for m in wanted if place and m.name == mount.name]
            held = cachemounts.held(root, mount.name, mount.about, mount.sharing, make, uses)
            found[mount.name] = stack.enter_context(held)
    return found


class _Making:
    def __init__(self, snapshots: Snapshots, stack: ExitStack, caches: dict[str, str]) -> None:
        self.snapshots, self.stack, self.caches = snapshots, stack, caches

    def mount(self, mount: StepMount) -> Mount:
        match mount:
            case FileMount() | TmpfsMount() | BindMount():
                return mount
            case CacheDirectory():
                return BindMount(self.caches[mount.name], mount.target, mount.read_only)
            case StackMount():
                return self._stack(mount)
            case ContextMount():
                return BindMount(self._copied(mount), mount.target, not mount.writable)
            case AgentSocket():
                return self._agent(mount)

    def _stack(self, mount: StackMount) -> BindMount:
        layers = [layer.diff_id for layer in mount.layers]
        if mount.writable:
            tree = self.stack.enter_context(self.snapshots.writable(layers)).root
        else:
            tree = self.stack.enter_context(self.snapshots.readable(layers))
        return BindMount(_inside(tree, mount.source), mount.target, not mount.writable)

    def _copied(self, mount: ContextMount) -> str:
        scratch = self.stack.enter_context(self.snapshots.scratch())
        os.chmod(scratch, 0o755)
        path, top = f"{scratch}/files", mount.sources[0].entries[0]
        copy_into(scratch, CopyJob("/files", mount.root, mount.sources))
        if top.kind is Kind.DIRECTORY and top.path and top.fixed is not None:  # a context's root is 0755 and new
            os.chmod(path, top.fixed.mode)
            os.utime(path, ns=(top.fixed.mtime, top.fixed.mtime))
        if mount.epoch is not None:
            date_tree(path, mount.epoch)
        return path

    def _agent(self, mount: AgentSocket) -> BindMount:
        # lazy: few RUNs need an agent
        from builder.sandbox import agent

        agent.check(mount.agent)
        scratch = self.stack.enter_context(self.snapshots.scratch())
        socket = agent.forwarded(mount.agent, scratch, (mount.uid, mount.gid), mount.mode)
        return BindMount(self.stack.enter_context(socket), mount.target)


def _inside(tree: str, source: str) -> str:
    """The path of `source` in `tree`, its links followed inside. Raises NotFoundError."""
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        resolved = resolve_in_root(fd, source)
        os.close(open_in_root(fd, resolved))
    except FileNotFoundError:
        raise NotFoundError(f"/{source} is not in the stage or image it is mounted from") from None
    finally:
        os.close(fd)
    return f"{tree}/{resolved}" if resolved else tree


def _beginning(snapshots: Snapshots, mount: CacheDirectory) -> cachemounts.Make:
    """What makes a new directory of a cache mount."""

    def make(path: str) -> None:
        above, name = os.path.split(path)
        if mount.layers is None:
            os.mkdir(path)
        else:
            with snapshots.readable([layer.diff_id for layer in mount.layers]) as tree:
                source = _inside(tree, mount.source)
                if not os.path.isdir(source):
                    raise BadInputError(f"a cache mount is a directory, and /{mount.source} is none")
                copy_into(above, CopyJob(f"/{name}/", choice=Choice((escaped(mount.source),))), tree)
                found = seen(source, os.stat(source), follow=True)
                _dress(path, source, (found.uid, found.gid))
        if not mount.source:
            give(path, mount.uid, mount.gid)
            os.chmod(path, mount.mode)

    return make


def _dress(path: str, source: str, owner: tuple[int, int]) -> None:
    """Give a copied directory, which the copying makes like any, the mode and the time of its source."""
    found = os.stat(source)
    set_owner(path, *owner)
    os.chmod(path, found.st_mode & 0o7777)
    os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns))
