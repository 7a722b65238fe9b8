"""Is everything in the store what it says it is; and, if asked, what is damaged made anew or dropped.

look   all the time under a lease, so that nothing is collected: layers in children of the launcher, a core each
mend   when nobody else uses the store: from what is whole; what cannot be made anew goes, with all that needs it
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from builder.api.gc import collected
from builder.api.session import Session
from builder.api.sidebyside import IN_USE_HINT, side_by_side
from builder.digest import Digest
from builder.errors import DamagedError, PybuildError, StoreError
from builder.events import Emit, Meter, Work, ignore
from builder.image.descriptor import Layer
from builder.runtime.containers import Containers
from builder.snapshots import verify as layers_check
from builder.snapshots.active import Snapshots
from builder.snapshots.verify import LayerState
from builder.solve.failed import FailedSteps
from builder.store import verify as check
from builder.store.catalog import StoredImage, identity
from builder.store.indexes import StoredIndex
from builder.store.open import Store
from builder.store.verify import Finding

R = TypeVar("R")


class Report(Struct, frozen=True):
    """What was looked at and what was found. `bytes` were read; `seconds` it took."""

    findings: tuple[Finding, ...]
    blobs: int = 0
    snapshots: int = 0
    records: int = 0
    images: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @property
    def damaged(self) -> bool:
        """Whether something is damaged, still."""
        return any(not finding.harmless and not finding.repair for finding in self.findings)


class _Seen(Struct):
    """What a look at the store found: the states of its layers, what other blobs are damaged, and the rest in words."""

    layers: dict[Digest, Layer]
    states: dict[Digest, LayerState]
    blobs: dict[Digest, str]
    findings: list[Finding]
    report: Report


def verify(root: Path | None, emit: Emit = ignore, *, repair: bool = False) -> Report:
    """Check the store at `root` and, with `repair`, mend it.

    Raises StoreError when it is to be mended while others use it, and for what cannot be opened at all.
    """
    begun = time.monotonic()
    before: list[Finding] = []
    try:
        return _verified(root, emit, before, begun, repair=repair)
    except DamagedError as error:
        finding = Finding("database", "pybuild.db", error.message)
        if not repair:
            return Report((finding,), seconds=time.monotonic() - begun)
        # lazy: few stores ever need it
        from builder.api.rebuild import rebuilt

        before.append(replace(finding, repair=rebuilt(root, emit)))
        return _verified(root, emit, before, begun, repair=True)


def _verified(root: Path | None, emit: Emit, before: list[Finding], begun: float, *, repair: bool) -> Report:
    with Session(root, emit) as session:
        with session.store.leases.everything():
            seen = _look(session, emit)
        if repair and seen.findings:
            seen.findings = _mended(session, seen)
        findings = (*before, *seen.findings)
        return replace(seen.report, findings=findings, seconds=time.monotonic() - begun)


# --- looking -------------------------------------------------------------------------------------


def _look(session: Session, emit: Emit) -> _Seen:
    store = session.store
    for problem in check.database_problems(store):
        raise DamagedError(f"{store.root}/pybuild.db is damaged: {problem}")
    layers = {layer.diff_id: layer for layer in store.layers.all()}
    images = store.images.all()
    needed = _needed(store, images, layers)
    sizes = dict(store.blobs.all())
    own = {layer.blob.digest for layer in layers.values()}
    others = [digest for digest in sizes if digest not in own]
    meter = Meter(emit, Work.CHECK, "blobs", sum(sizes.values()))
    states, blobs = {}, {}
    call = session.launcher().call
    for layer, state in side_by_side(layers.values(), lambda y: call(layers_check.examine, None, store.root, y)):
        states[layer.diff_id] = state
        meter.add(sizes.get(layer.blob.digest, 0))
    for digest, problem in side_by_side(others, lambda d: call(layers_check.damage, None, store.root, d)):
        meter.add(sizes[digest])
        if problem and digest in needed:
            blobs[digest] = problem
    findings = [
        *(finding for diff_id, state in states.items() for finding in _layer_findings(layers[diff_id], state, needed)),
        *(Finding("blob", digest.hex, problem + _for(needed.get(digest))) for digest, problem in blobs.items()),
        *_of_now(session),
    ]
    report = Report(
        (),
        blobs=len(sizes),
        snapshots=sum(state.unpacked for state in states.values()),
        records=store.records.count(),
        images=len(images),
        bytes=meter.done,
    )
    return _Seen(layers, states, blobs, findings, report)


def _of_now(session: Session) -> list[Finding]:
    """What the database says that is not so, in one state of it: others may have gone on since the layers were read."""
    store = session.store
    with store.db.transaction():
        layers = {layer.diff_id: layer for layer in store.layers.all()}
        images = store.images.all()
        unneeded = check.unneeded(store, frozenset(_needed(store, images, layers)))
        found = [
            *check.record_findings(store, layers),
            *check.name_findings(store),
            *_image_findings(store, images, layers),
            *_container_findings(store, layers),
            *check.index_findings(store),
            *_spare(session, layers, unneeded),
        ]
    named = {digest.hex for digest in store.leases.named()}  # somebody is about to need it
    return [finding for finding in found if not (finding.harmless and finding.name in named)]


def _needed(store: Store, images: Iterable[StoredImage], layers: dict[Digest, Layer]) -> dict[Digest, set[str]]:
    """Blobs something refers to, and the images that do."""
    needed: dict[Digest, set[str]] = {layer.blob.digest: set() for layer in layers.values()}
    for image in images:
        digests = [image.manifest.digest, image.config]
        with suppress(PybuildError):
            digests += [layer.digest for layer in store.images.manifest(image).layers]
        for digest in digests:
            needed.setdefault(digest, set()).add(_called(image))
    for digest in store.compressed.blobs(layers):
        needed.setdefault(digest, set())
    for index in store.images.indexes():
        for blob in store.images.index_blobs(index):
            needed.setdefault(blob.digest, set()).add(_called(index))
    return needed


def _called(image: StoredImage | StoredIndex) -> str:
    return image.names[0] if image.names else identity(image).short


def _for(images: set[str] | None) -> str:
    return f" (of {', '.join(sorted(images))})" if images else ""


def _layer_findings(layer: Layer, state: LayerState, needed: dict[Digest, set[str]]) -> Iterator[Finding]:
    if state.blob:
        yield Finding("blob", layer.blob.digest.hex, state.blob + _for(needed.get(layer.blob.digest)))
    if state.facts is not None:
        yield Finding(
            "layer", layer.diff_id.hex, f"its blob is layer {state.facts.diff_id}, or another content or size"
        )
    if state.snapshot:
        more = f", and {state.differences - 1} more" if state.differences > 1 else ""
        yield Finding("snapshot", layer.diff_id.hex, state.snapshot + more)


def _image_findings(store: Store, images: Iterable[StoredImage], layers: dict[Digest, Layer]) -> Iterator[Finding]:
    for image in images:
        problem = check.image_problem(store, image, layers)
        if problem:
            yield Finding("image", _called(image), problem)
    for index in store.images.indexes():
        problem = check.list_problem(store, index)
        if problem:
            yield Finding("image", _called(index), problem)


def _container_findings(store: Store, layers: dict[Digest, Layer]) -> Iterator[Finding]:
    snapshots = Snapshots(store.root)
    for container in Containers(store.root).all():
        for layer in map(Digest.parse, container.layers):
            if layer not in layers and not snapshots.has(layer):
                yield Finding(
                    "container", container.name, f"its layer {layer} is lost: remove it (pybuild rm {container.name})"
                )
                break


def _spare(session: Session, layers: Collection[Digest], unneeded: list[tuple[Digest, int]]) -> Iterator[Finding]:
    """What takes room and nothing more."""
    root = session.store.root
    for digest, size in unneeded:
        yield Finding("blob", digest.hex, f"nothing needs it ({size} bytes)", harmless=True)
    for name in _spare_snapshots(root, layers):
        yield Finding("snapshot", name, "it is of no layer that is known", harmless=True)
    for name in check.strange_names(root):
        yield Finding("file", name, "it is not of this store; it is left alone", harmless=True)


def _spare_snapshots(root: Path, layers: Collection[Digest]) -> list[str]:
    needed = {*layers, *Containers(root).layers(), *FailedSteps(root).layers()}
    used = {d.hex for d in (*needed, *Snapshots(root).trees_below(needed))}
    return [name for name in check.unknown_snapshots(root, layers) if name not in used]


# --- mending -------------------------------------------------------------------------------------


def _mended(session: Session, seen: _Seen) -> list[Finding]:
    store = session.store
    with store.leases.collecting() as used:
        if used is None:
            raise StoreError("the store is in use: it cannot be mended now", hint=IN_USE_HINT)
        mending = _Mending(session, seen, used)
        done = [mending.one(finding) for finding in seen.findings if finding.kind != "image"]
        with store.db.transaction():
            done += mending.consequences()
    collected(session)
    return [_removed(session, finding) if finding.harmless else finding for finding in done]


def _done(finding: Finding, repair: str) -> Finding:
    """A finding with what was done about it; nothing is done about what others use."""
    if repair:
        return replace(finding, repair=repair)
    return replace(finding, problem=f"{finding.problem}; it is in use: {IN_USE_HINT}")


def _removed(session: Session, finding: Finding) -> Finding:
    """What only took room, with whether the collection has removed it."""
    if finding.kind not in ("blob", "snapshot"):
        return finding
    digest = Digest(finding.name)
    gone = not (session.store.blobs if finding.kind == "blob" else Snapshots(session.store.root)).has(digest)
    return replace(finding, repair="removed" if gone else "")


class _Mending:
    """One repair. `used` are layers in use by others: those are left as they are."""

    def __init__(self, session: Session, seen: _Seen, used: frozenset[Digest]) -> None:
        self._session, self._store, self._root = session, session.store, session.store.root
        self._seen, self._used = seen, used

    def one(self, finding: Finding) -> Finding:
        """Do what can be done about one finding; gives it with the words for that."""
        store, name = self._store, finding.name
        match finding.kind:
            case "index":
                store.images.index_file.publish(anew=True)
                return replace(finding, repair="written again")
            case _ if finding.harmless:
                return finding  # for the collection
            case "blob":
                return _done(finding, self._blob(Digest(name)))
            case "layer":
                return replace(finding, repair=self._facts(Digest(name)))
            case "snapshot":
                return _done(finding, self._snapshot(Digest(name)))
            case "record":
                store.records.forget([Digest(name)])
                return replace(finding, repair="dropped: its step runs again when it is needed")
            case "name":
                store.images.forget_name(name)
                return replace(finding, repair="dropped")
            case _:  # nothing can be done about a container
                return finding

    def _blob(self, digest: Digest) -> str:
        layers = [layer for layer in self._seen.layers.values() if layer.blob.digest == digest]
        if digest in self._used or any(layer.diff_id in self._used for layer in layers):
            return ""
        for layer in layers:
            if not self._seen.states[layer.diff_id].snapshot and self._call(layers_check.restore_blob, layer):
                return "written again from its snapshot"
        self._store.layers.forget(layer.diff_id for layer in layers)
        for layer in layers:
            self._seen.layers.pop(layer.diff_id, None)
        if (doomed := self._store.blobs.take(digest)) is not None:
            doomed.unlink(missing_ok=True)
        self._call(layers_check.discard, tuple(_spare_snapshots(self._root, self._seen.layers)))
        again = digest in self._store.compressed.blobs(self._seen.layers)
        return f"dropped: {'it is made again when it is wanted' if again else 'there is nothing to make it of'}"

    def _facts(self, diff_id: Digest) -> str:
        facts = self._seen.states[diff_id].facts
        assert facts is not None
        with self._store.db.transaction():
            self._store.layers.forget([diff_id])
            self._store.layers.add(facts)
        self._seen.layers.pop(diff_id, None)
        self._seen.layers[facts.diff_id] = facts
        return "written again from its blob"

    def _snapshot(self, diff_id: Digest) -> str:
        layer = self._seen.layers.get(diff_id)
        if diff_id in self._used:
            return ""
        if layer is not None and self._call(layers_check.restore_snapshot, layer):
            return "unpacked again from its blob"
        self._call(layers_check.discard, (diff_id.hex,))
        return "dropped: there is nothing to make it of"

    def consequences(self) -> Iterator[Finding]:
        """What needs something that was dropped goes too: records, and images with their names."""
        store = self._store
        # Others may have made layers since the look; what was dropped is not in the table any more.
        self._seen.layers = {layer.diff_id: layer for layer in store.layers.all()}
        found = [replace(f, repair="dropped: its step runs again when it is needed") for f in self._records()]
        yield from found
        for image in store.images.all():
            problem = check.image_problem(store, image, self._seen.layers)
            if problem:
                store.images.remove(image)
                names = ", ".join(image.names) or "none"
                yield Finding(
                    "image",
                    _called(image),
                    problem,
                    repair=f"dropped (ID {image.config.short}, its names: {names}): build, load or pull it again",
                )
        for index in store.images.indexes():
            problem = check.list_problem(store, index)
            if problem:
                store.images.remove(index)
                names = ", ".join(index.names) or "none"
                repair = f"dropped (an index, its names: {names}): build, load or pull it again"
                yield Finding("image", _called(index), problem, repair=repair)
        store.images.index_file.publish(anew=True)

    def _records(self) -> list[Finding]:
        found = list(check.record_findings(self._store, self._seen.layers))
        self._store.records.forget([Digest(finding.name) for finding in found])
        return found

    def _call(self, function: Callable[..., R], *args: Any) -> R:
        return self._session.launcher().call(function, None, self._root, *args).result()
