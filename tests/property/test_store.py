"""The store as a state machine: put, tag, lease, use, prune, collect, crash, reopen, in any order."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from builder.digest import Digest
from builder.image.descriptor import Descriptor, Layer
from builder.image.manifest import Index, IndexEntry, Manifest
from builder.image.mediatypes import OCI_INDEX, OCI_MANIFEST
from builder.image.reference import Reference
from builder.linux.files import remove_tree
from builder.points import HOOKS
from builder.snapshots.active import Snapshots
from builder.store.gc import Needed, collect
from builder.store.open import Store
from tests.support.store import image, image_config, layer, record

CONTENTS = st.sampled_from([b"one", b"two", b"three", b"four", b"five"])
NAMES = st.sampled_from(["app", "web", "db"])
WORKERS = st.integers(0, 1)
POINTS = st.sampled_from(
    ["blob:written", "blob:renamed", "snapshot:commit", "snapshot:renamed", "image:manifest", "leases:generation",
     "gc:records", "gc:forgotten", "gc:taken", "db:commit", "db:committed", "file:written", "file:renamed"]
)  # fmt: skip


class Trees:
    """The snapshots as they are, removed without a launcher."""

    def __init__(self, root: Path) -> None:
        self._root, self._snapshots = root, Snapshots(root)

    def all(self) -> list[Digest]:
        return self._snapshots.all()

    def take(self, layers: tuple[Digest, ...]) -> Callable[[], int]:
        doomed = self._root / "tmp" / f"active-{os.urandom(4).hex()}"
        doomed.mkdir()
        (self._root / "tmp" / f"{doomed.name}.lock").touch()
        for diff_id in layers:
            with contextlib.suppress(FileNotFoundError):
                os.rename(self._snapshots.path(diff_id), doomed / diff_id.hex)

        def delete() -> int:
            remove_tree(str(doomed))
            (self._root / "tmp" / f"{doomed.name}.lock").unlink()
            return 0

        return delete


def put(store: Store, content: bytes, recorded: bool) -> Layer:
    """A step that makes a layer: blob, snapshot, row, record."""
    snapshots = Snapshots(store.root)
    with snapshots.scratch() as path:
        made = layer(store, content)
        snapshots.commit(path, made.diff_id)
    if recorded:
        store.records.add(record(made, content))
    return made


def sweep(store: Store, keys: list[Digest]) -> None:
    """A collection that forgets the records of `keys` that nobody uses."""

    def choose(needed: Needed) -> list[Digest]:
        used = {one.diff_id for one in store.layers.all() if needed.uses(one)}
        return [r.key for r in store.records.all() if r.key in keys and r.diff_id not in used]

    collect(store, lambda: (), Trees(store.root), choose)


class StoreMachine(RuleBasedStateMachine):
    @initialize()
    def make(self) -> None:
        self.root = Path(tempfile.mkdtemp()) / "store"
        self.store = Store.open(self.root)
        # Two processes that work for long: each with a store, its lease while it has one, and what it counts on.
        self.workers = [Store.open(self.root) for _ in range(2)]
        self.leases: dict[int, ExitStack] = {}
        self.counted: dict[int, set[Digest]] = {}
        self.blobs: dict[int, set[Digest]] = {}

    def teardown(self) -> None:
        for held in self.leases.values():
            held.close()
        for store in (self.store, *self.workers):
            store.close()
        shutil.rmtree(self.root.parent)  # noqa: TID251 - nothing hostile is in it

    # --- what users do ---------------------------------------------------------------------------

    @rule(content=CONTENTS, recorded=st.booleans())
    def put(self, content: bytes, recorded: bool) -> None:
        with self.store.leases.working():
            put(self.store, content, recorded)

    @rule(contents=st.lists(CONTENTS, min_size=1, max_size=2, unique=True), name=st.none() | NAMES)
    def build(self, contents: list[bytes], name: str | None) -> None:
        self._build(self.store, contents, name)

    def _build(self, store: Store, contents: list[bytes], name: str | None) -> None:
        with store.leases.working():
            layers = []
            for content in contents:
                found = store.records.get(Digest.of(content))
                known = None if found is None else store.layer(found.diff_id)
                layers.append(put(store, content, True) if known is None else known)
            image(store, *layers, name=name)

    @rule(contents=st.lists(CONTENTS, min_size=1, max_size=2, unique=True), name=st.none() | NAMES)
    def build_index(self, contents: list[bytes], name: str | None) -> None:
        self._build_index(self.store, contents, name)

    def _build_index(self, store: Store, contents: list[bytes], name: str | None) -> None:
        with store.leases.working():
            made = []
            for content in contents:
                config = image_config(put(store, content, False))
                store.blobs.put_bytes(config)
                known = store.layers.get(Digest.of(b"diff" + content))
                assert known is not None
                manifest = Manifest.of(config, [known])
                made.append((manifest, manifest.to_json()))
            entries = [IndexEntry(Descriptor(OCI_MANIFEST, Digest.of(data), len(data))) for _, data in made]
            data = Index(tuple(entries)).to_json()
            names = (Reference.parse(name),) if name else ()
            store.images.add_index(Descriptor(OCI_INDEX, Digest.of(data), len(data)), data, names, made)

    @rule(name=NAMES, other=NAMES)
    def tag(self, name: str, other: str) -> None:
        found = self.store.images.named(name)
        if found is not None:
            self.store.images.tag(found, Reference.parse(other))

    @rule(name=NAMES)
    def untag(self, name: str) -> None:
        self.store.images.untag(Reference.parse(name))

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        found = self.store.images.named(name)
        if found is not None:
            self.store.images.remove(found)

    @rule(name=NAMES)
    def remove_image(self, name: str) -> None:
        """Of an index: one of its images."""
        found = self.store.images.lookup(name)
        if found is not None:
            self.store.images.remove(found)

    @rule()
    def prune_images(self) -> None:
        for found in self.store.images.dangling(()):
            self.store.images.remove(found)
        assert list(self.store.images.dangling(())) == []

    @rule(contents=st.lists(CONTENTS, max_size=3))
    def prune(self, contents: list[bytes]) -> None:
        sweep(self.store, [Digest.of(content) for content in contents])

    # --- who works for long ----------------------------------------------------------------------

    @rule(worker=WORKERS)
    def begin(self, worker: int) -> None:
        if worker not in self.leases:
            self.leases[worker] = ExitStack()
            self.leases[worker].enter_context(self.workers[worker].leases.working())
            self.counted[worker] = set()
            self.blobs[worker] = set()

    @precondition(lambda self: self.leases)
    @rule(worker=WORKERS, content=CONTENTS)
    def look_up(self, worker: int, content: bytes) -> None:
        found = self.workers[worker].records.get(Digest.of(content))
        if worker in self.leases and found is not None and self.workers[worker].layer(found.diff_id) is not None:
            self.counted[worker].add(found.diff_id)

    @precondition(lambda self: self.leases)
    @rule(worker=WORKERS, content=CONTENTS)
    def run(self, worker: int, content: bytes) -> None:
        if worker in self.leases:
            self.counted[worker].add(put(self.workers[worker], content, False).diff_id)

    @precondition(lambda self: self.leases)
    @rule(worker=WORKERS, content=CONTENTS)
    def write(self, worker: int, content: bytes) -> None:
        """A blob that nothing names yet, such as a config before its image is there; it may be there already."""
        if worker in self.leases:
            self.blobs[worker].add(self.workers[worker].blobs.put_bytes(content))

    @precondition(lambda self: self.leases)
    @rule(worker=WORKERS, name=NAMES)
    def stand_on(self, worker: int, name: str) -> None:
        store = self.workers[worker]
        claimed = store.images.claimed(name) if worker in self.leases else None
        if claimed is not None:
            self.counted[worker].update(claimed[1].diff_ids)

    @precondition(lambda self: self.leases)
    @rule(worker=WORKERS)
    def end(self, worker: int) -> None:
        if worker in self.leases:
            self.leases.pop(worker).close()
            del self.counted[worker], self.blobs[worker]

    # --- what goes wrong -------------------------------------------------------------------------

    @rule(point=POINTS, what=st.sampled_from(["build", "index", "prune"]), content=CONTENTS, name=st.none() | NAMES)
    def crash(self, point: str, what: str, content: bytes, name: str | None) -> None:
        """Another process does something and is killed at a point, if it comes there."""
        child = os.fork()
        if not child:
            HOOKS[point] = lambda: os.kill(os.getpid(), signal.SIGKILL)
            try:
                store = Store.open(self.root)
                if what == "build":
                    self._build(store, [content], name)
                elif what == "index":
                    self._build_index(store, [content], name)
                else:
                    sweep(store, [Digest.of(content)])
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or status == 0

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.root)

    # --- what always holds -----------------------------------------------------------------------

    @invariant()
    def what_is_named_is_whole(self) -> None:
        for made in self.store.images.all():
            for one in self.store.images.layers(made.manifest.digest):
                assert self.store.blobs.holds(one.blob)
            for blob in self.store.images.manifest(made).layers:
                assert self.store.blobs.holds(blob)
        for index in self.store.images.indexes():
            assert self.store.blobs.holds(index.descriptor)
            self.store.images.members(index)
        for kept in self.store.records.all():
            one = self.store.layers.get(kept.diff_id)
            assert one is not None
            assert self.store.blobs.holds(one.blob)

    @invariant()
    def what_is_counted_on_is_there(self) -> None:
        for worker, diff_ids in self.counted.items():
            for diff_id in diff_ids:
                one = self.workers[worker].layers.get(diff_id)
                assert one is not None
                assert self.store.blobs.holds(one.blob)
            assert all(map(self.store.blobs.has, self.blobs[worker]))

    @precondition(lambda self: not self.leases)
    @rule()
    def nothing_unneeded_survives(self) -> None:
        for _ in range(2):
            Snapshots(self.root).sweep()
            self.store.blobs.sweep()
            sweep(self.store, [])
        images, layers = self.store.images.all(), {r.diff_id for r in self.store.records.all()}
        blobs = {made.manifest.digest for made in images} | {made.config for made in images}
        blobs |= {index.descriptor.digest for index in self.store.images.indexes()}
        for made in images:
            layers.update(self.store.images.config(made).diff_ids)
        known = self.store.layers.all()
        assert {one.diff_id for one in known} == layers
        assert {digest for digest, _ in self.store.blobs.all()} == blobs | {one.blob.digest for one in known}
        assert set(Snapshots(self.root).all()) <= layers
        assert list((self.root / "tmp").iterdir()) == []
        assert not [path for path in (self.root / "locks").iterdir() if "-" in path.name]


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
