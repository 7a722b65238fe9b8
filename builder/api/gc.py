"""Collection with all that needs layers: images and records (store/gc), and containers and failed steps."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from builder.api.session import Session
from builder.digest import Digest
from builder.runtime.containers import Containers
from builder.sandbox.launcher import Launcher
from builder.snapshots.active import Snapshots
from builder.snapshots.receive import taken
from builder.solve.failed import FailedSteps
from builder.store.gc import Collected, Needed, Trees, collect, needed_now

# Given what is needed anyway and which layers are unpacked: the keys of the records to forget.
Choose = Callable[[Needed, Trees], Collection[Digest]]


class _Snapshots:
    """The snapshots of the store at `root`, as gc.Trees; `launcher` is None when there are none."""

    def __init__(self, root: Path, launcher: Launcher | None) -> None:
        self._root, self._snapshots, self._launcher = root, Snapshots(root), launcher

    def all(self) -> list[Digest]:
        return self._snapshots.all()

    def take(self, layers: tuple[Digest, ...]) -> Callable[[], int]:
        # What another tree lies on stays as long as that does.
        below = self._snapshots.trees_below(set(self.all()) - set(layers))
        there = set(self.all()) - below
        paths = tuple(self._snapshots.path(d) for d in layers if d in there)
        if not paths or self._launcher is None:
            return lambda: 0
        return taken(self._launcher, self._root, paths).result


def collected(session: Session, choose: Choose = lambda needed, trees: (), by: str = "prune") -> Collected:
    """Remove what nothing needs any more, and before that the records `choose` names; see store.gc.collect."""
    store = session.store
    store.blobs.sweep()
    # Started before anybody is kept out: it takes its time, and may use the store itself.
    trees = _Snapshots(store.root, session.launcher() if Snapshots(store.root).all() else None)
    return collect(store, lambda: kept(store.root), trees, lambda needed: choose(needed, trees), by)


def looked(session: Session, choose: Choose) -> None:
    """Have `choose` choose, and remove nothing."""
    choose(needed_now(session.store, lambda: kept(session.store.root)), _Snapshots(session.store.root, None))


def kept(root: Path) -> Iterator[Digest]:
    """The layers that containers and failed steps need."""
    yield from Containers(root).layers()
    yield from FailedSteps(root).layers()
